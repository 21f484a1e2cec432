#include "tlsserver.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct s3m_tls_identity { SSL_CTX *context; unsigned long hash; };

static X509 *make_certificate(EVP_PKEY *key, const char *common_name) {
  X509 *certificate = X509_new();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), time(NULL));
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 24 * 3600);
  X509_NAME *name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_set_pubkey(certificate, key);
  X509_EXTENSION *place = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
  X509_EXTENSION *authority = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
  int is_made = X509_add_ext(certificate, place, -1) && X509_add_ext(certificate, authority, -1)
    && X509_sign(certificate, key, EVP_sha256());
  X509_EXTENSION_free(place);
  X509_EXTENSION_free(authority);
  if (is_made) return certificate;
  X509_free(certificate);
  return NULL;
}

s3m_tls_identity *s3m_tls_identity_make(const char *common_name, const char *certificate_path) {
  s3m_tls_identity *identity = calloc(1, sizeof *identity);
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *certificate = key ? make_certificate(key, common_name) : NULL;
  FILE *file = certificate ? fopen(certificate_path, "w") : NULL;
  int is_made = file && PEM_write_X509(file, certificate);
  if (file && fclose(file)) is_made = 0;
  if (identity && is_made && (identity->context = SSL_CTX_new(TLS_server_method()))) {
    identity->hash = X509_NAME_hash_ex(X509_get_subject_name(certificate), NULL, NULL, NULL);
    is_made = SSL_CTX_use_certificate(identity->context, certificate) == 1
      && SSL_CTX_use_PrivateKey(identity->context, key) == 1;
  }
  X509_free(certificate);
  EVP_PKEY_free(key);
  if (is_made && identity && identity->context) return identity;
  s3m_tls_identity_free(identity);
  return NULL;
}

void s3m_tls_identity_free(s3m_tls_identity *identity) {
  if (!identity) return;
  SSL_CTX_free(identity->context);
  free(identity);
}

unsigned long s3m_tls_identity_hash(const s3m_tls_identity *identity) { return identity->hash; }

int s3m_tls_accept(s3m_tls_identity *identity, int socket, void **connection) {
  // OpenSSL writes without MSG_NOSIGNAL. The signal stays pending until the thread ends.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  SSL *tls = SSL_new(identity->context);
  if (!tls || !SSL_set_fd(tls, socket) || SSL_accept(tls) != 1) {
    SSL_free(tls);
    return 0;
  }
  *connection = tls;
  return SSL_session_reused(tls) ? 2 : 1;
}

// False when the connection has ended.
static int receive(SSL *tls, int plain) {
  char bytes[16 << 10];
  do {
    int count = SSL_read(tls, bytes, sizeof bytes);
    if (count <= 0) return 0;
    for (int sent = 0; sent < count;) {
      ssize_t put = send(plain, bytes + sent, count - sent, MSG_NOSIGNAL);
      if (put <= 0) return 0;
      sent += (int)put;
    }
  } while (SSL_pending(tls));
  return 1;
}

static int give(SSL *tls, int plain) {
  char bytes[16 << 10];
  ssize_t count = recv(plain, bytes, sizeof bytes, 0);
  return count > 0 && SSL_write(tls, bytes, (int)count) == count;
}

void s3m_tls_pump(void *connection, int socket, int plain) {
  struct pollfd ends[] = {{.fd = socket, .events = POLLIN}, {.fd = plain, .events = POLLIN}};
  while (poll(ends, 2, -1) > 0) {
    if (ends[0].revents && !receive(connection, plain)) break;
    if (ends[1].revents && !give(connection, plain)) break;
  }
  SSL_shutdown(connection);
  SSL_free(connection);
}
