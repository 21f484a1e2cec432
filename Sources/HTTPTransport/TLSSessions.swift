import CCurl

/// The TLS sessions of one loop, so that a connection can resume an earlier one's session.
///
/// Without it each easy handle would remember only its own sessions. A resumed handshake sends no
/// certificate (RFC 8446 §2.2). OpenSSL uses a session of TLS 1.3 once, and the first answer on each connection
/// brings a new one. So of several connections that begin together some do not resume.
///
/// Not Sendable: libcurl-share(3) allows one thread at a time without locks. The client's isolation keeps it
/// on the loop's thread.
final class TLSSessions {
  // SAFETY: created in init and freed in deinit. Every easy handle that uses it holds this object.
  let handle: UnsafeMutableRawPointer

  init() throws {
    guard let handle = curl_share_init() else {
      throw TransportError(.invalid, "libcurl has no memory for TLS sessions")
    }
    self.handle = handle
    let code = s3m_share_set(handle, CURLSHOPT_SHARE, Int32(CURL_LOCK_DATA_SSL_SESSION.rawValue))
    guard code == CURLSHE_OK else {
      throw TransportError(.invalid, "libcurl: \(String(cString: curl_share_strerror(code)))")
    }
  }

  deinit { curl_share_cleanup(handle) }
}
