// OpenSSL's digests (EVP and HMAC) as Swift can see them.
#pragma once
#include <openssl/evp.h>
#include <openssl/hmac.h>
