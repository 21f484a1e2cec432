// The server's end of TLS for tests: OpenSSL's functions behind a few plain ones.
#pragma once

typedef struct s3m_tls_identity s3m_tls_identity;

// Makes a key and a certificate of 127.0.0.1 that signs itself, and writes the certificate to a file. NULL when it fails.
s3m_tls_identity *s3m_tls_identity_make(const char *common_name, const char *certificate_path);
void s3m_tls_identity_free(s3m_tls_identity *identity);

// The name under which a directory of certificates holds this one, without ".0" (openssl-rehash(1)).
unsigned long s3m_tls_identity_hash(const s3m_tls_identity *identity);

// Shakes hands on a blocking socket, which stays the caller's. 0: it failed; 1: a new session; 2: a resumed one.
// Afterwards `s3m_tls_pump` passes bytes on.
int s3m_tls_accept(s3m_tls_identity *identity, int socket, void **connection);

// Passes bytes between the connection and a plain socket until either end closes, and frees the connection.
void s3m_tls_pump(void *connection, int socket, int plain);
