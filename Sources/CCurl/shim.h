// libcurl as Swift can see it: the header, and typed doors for the variadic functions, which Swift cannot call.
#pragma once
#include <curl/curl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

// curl_easy_setopt(3) reads its third argument by the option's kind: a long, a pointer, a function or a curl_off_t.
static inline CURLcode s3m_easy_set_long(CURL *easy, CURLoption option, long value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode s3m_easy_set_pointer(CURL *easy, CURLoption option, const void *value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode s3m_easy_set_string(CURL *easy, CURLoption option, const char *value) {
  return curl_easy_setopt(easy, option, value);
}
static inline CURLcode s3m_easy_set_offset(CURL *easy, CURLoption option, curl_off_t value) {
  return curl_easy_setopt(easy, option, value);
}

// curl_version_info(3): the file and the directory of certificates that this libcurl was built to trust; NULL where it has
// none, or does not say (before 7.70.0).
typedef struct {
  const char *file;
  const char *directory;
} s3m_certificates;
static inline s3m_certificates s3m_built_in_certificates(void) {
  s3m_certificates found = {NULL, NULL};
#if LIBCURL_VERSION_NUM >= 0x074600
  const curl_version_info_data *facts = curl_version_info(CURLVERSION_NOW);
  if (facts->age >= CURLVERSION_SEVENTH) {
    found.file = facts->cainfo;
    found.directory = facts->capath;
  }
#endif
  return found;
}

// curl_share_setopt(3) is variadic too; CURLSHOPT_SHARE takes an int.
static inline CURLSHcode s3m_share_set(CURLSH *share, CURLSHoption option, int value) {
  return curl_share_setopt(share, option, value);
}

// curl's callbacks: CURLOPT_READFUNCTION, _WRITEFUNCTION and _HEADERFUNCTION share one shape.
typedef size_t (*s3m_transfer_callback)(char *bytes, size_t size, size_t count, void *context);
static inline CURLcode s3m_easy_set_transfer_callback(CURL *easy, CURLoption option, s3m_transfer_callback callback) {
  return curl_easy_setopt(easy, option, callback);
}
typedef int (*s3m_seek_callback)(void *context, curl_off_t offset, int origin);
static inline CURLcode s3m_easy_set_seek_callback(CURL *easy, s3m_seek_callback callback) {
  return curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, callback);
}

// curl_easy_getinfo(3), likewise.
static inline CURLcode s3m_easy_get_long(CURL *easy, CURLINFO info, long *value) {
  return curl_easy_getinfo(easy, info, value);
}
static inline CURLcode s3m_easy_get_pointer(CURL *easy, CURLINFO info, void **value) {
  return curl_easy_getinfo(easy, info, value);
}
static inline CURLcode s3m_easy_get_offset(CURL *easy, CURLINFO info, curl_off_t *value) {
  return curl_easy_getinfo(easy, info, value);
}

// SIOCOUTQ of tcp(7): how much of what was sent the other end's kernel has not acknowledged. 0 where the socket cannot say.
static inline int s3m_socket_unacknowledged(curl_socket_t socket) {
  int bytes = 0;
  return ioctl(socket, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

static inline CURLMcode s3m_multi_set_long(CURLM *multi, CURLMoption option, long value) {
  return curl_multi_setopt(multi, option, value);
}

// The message's union, which Swift imports without its anonymous member's name.
static inline CURLcode s3m_message_result(const CURLMsg *message) { return message->data.result; }

// CURLMOPT_SOCKETFUNCTION(3) and CURLMOPT_TIMERFUNCTION(3).
typedef int (*s3m_socket_callback)(CURL *easy, curl_socket_t socket, int what, void *context, void *socket_context);
typedef int (*s3m_timer_callback)(CURLM *multi, long milliseconds, void *context);
static inline CURLMcode s3m_multi_set_callbacks(
  CURLM *multi, s3m_socket_callback on_socket, s3m_timer_callback on_timer, void *context) {
  CURLMcode code = curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  if (code == CURLM_OK) code = curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, context);
  if (code == CURLM_OK) code = curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  if (code == CURLM_OK) code = curl_multi_setopt(multi, CURLMOPT_TIMERDATA, context);
  return code;
}
