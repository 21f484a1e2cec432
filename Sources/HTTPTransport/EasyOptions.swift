import CCurl

extension EasyHandle {
  func setConstants(_ configuration: CurlClient.Configuration) throws {
    try set(CURLOPT_ERRORBUFFER, UnsafeRawPointer(errorText))
    // Without it libcurl installs signal handlers for the whole process (CURLOPT_NOSIGNAL(3)).
    try set(CURLOPT_NOSIGNAL, 1)
    try set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    try set(CURLOPT_PATH_AS_IS, 1)
    try set(CURLOPT_FOLLOWLOCATION, 0)
    // A stored Content-Encoding is a property of the object, not of the transfer.
    try set(CURLOPT_HTTP_CONTENT_DECODING, 0)
    try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    try set(CURLOPT_SSL_VERIFYPEER, 1)
    try set(CURLOPT_SSL_VERIFYHOST, 2)
    try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    try set(CURLOPT_CONNECTTIMEOUT, configuration.connectTimeoutSeconds)
    try set(CURLOPT_TCP_NODELAY, 1)
    // Probes after 30 s of silence detect a peer that is gone, and keep the connection in NAT tables.
    try set(CURLOPT_TCP_KEEPALIVE, 1)
    try set(CURLOPT_TCP_KEEPIDLE, 30)
    try set(CURLOPT_TCP_KEEPINTVL, 10)
    try set(CURLOPT_USERAGENT, configuration.userAgent)
    if let path = configuration.caBundlePath ?? TrustedCertificates.elsewhere {
      try set(CURLOPT_CAINFO, path)
    }
    // CURLOPT_QUICK_EXIT (322, libcurl 7.87). Without it, a transfer that ends during its name resolution
    // waits for getaddrinfo(3), and so does the whole loop. Older libraries do not know the option and wait.
    _ = s3m_easy_set_long(handle, CURLoption(rawValue: 322), 1)
  }

  /// "" means no proxy, whatever the environment has; nil takes the environment (CURLOPT_PROXY(3)).
  func setProxy(_ proxy: String?) throws {
    if let proxy { try set(CURLOPT_PROXY, proxy) } else { try set(CURLOPT_PROXY, UnsafeRawPointer?.none) }
  }

  /// - Parameter path: nil if libcurl has no directory; then there is no option either.
  func setDirectory(_ path: String?, _ use: CertificateDirectory.Use) throws {
    guard let path else { return }
    switch use {
    case .included: try set(CURLOPT_CAPATH, path)
    case .leftOut: try set(CURLOPT_CAPATH, UnsafeRawPointer?.none)
    }
  }

  /// 16 KiB, libcurl's default, for answers; 256 KiB for downloads. A download with a rate limit arrives in
  /// pieces of a quantum, at least 16 KiB (the size of TLS records), because larger pieces would make the
  /// transfer uneven.
  static func receiveBufferBytes(for request: HTTPRequest, _ limit: RateLimit?) -> Int {
    guard request.sink != nil else { return 16 << 10 }
    guard let limit else { return 256 << 10 }
    return min(max(Int(limit.bytesPerSecond / 50), 16 << 10), 256 << 10)
  }

  /// Enough for the head, which S3 limits to 8 KiB, and the body; at most 256 KiB (libcurl's default is
  /// 64 KiB).
  ///
  /// libcurl allocates this buffer for a transfer and frees it after it. Over TLS every request has one,
  /// because libcurl copies the head there. A buffer of 256 KiB is too large for the heap, so the kernel would
  /// map it, clear its pages and unmap it for each small file.
  static func sendBufferBytes(for request: HTTPRequest) -> Int {
    Int(min(max((request.body?.byteCount ?? 0) + (8 << 10), 16 << 10), 256 << 10))
  }

  /// 64 KiB: libcurl copies smaller POST bodies behind the head and sends both with one send(2)
  /// (MAX_INITIAL_POST_SIZE).
  private static let smallBodyBytes: Int64 = 64 << 10

  /// Sets all options that depend on the method, in a fixed order, so that nothing of the handle's last
  /// request remains.
  func setMethod(_ request: HTTPRequest) throws {
    // This comes first, because setting it selects a POST.
    try set(CURLOPT_POSTFIELDS, UnsafeRawPointer?.none)
    try set(CURLOPT_NOBODY, 0)
    try set(CURLOPT_HTTPGET, 1)
    let sendsLength = request.method == .put || request.method == .post
    if let bytes = request.body?.stableBytes, !bytes.isEmpty, bytes.count < Self.smallBodyBytes,
      uploadLimit == nil
    {
      // libcurl treats this as a POST, whatever the method's name is, because only POST supports a body in
      // memory. The handle holds the body.
      let code = s3m_easy_set_offset(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
      try check(code, CURLOPT_POSTFIELDSIZE_LARGE)
      try set(CURLOPT_POSTFIELDS, bytes.baseAddress)
    } else if request.body != nil || sendsLength {
      // An upload of 0 bytes sends `Content-Length: 0`, as RFC 9110 §8.6 requires for methods that define a
      // body.
      try set(CURLOPT_UPLOAD, 1)
      let code = s3m_easy_set_offset(
        handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(request.body?.byteCount ?? 0))
      try check(code, CURLOPT_INFILESIZE_LARGE)
    } else if request.method == .head {
      try set(CURLOPT_NOBODY, 1)
    }
    try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
  }

  func setHeaders(_ headers: HTTPHeaders) throws {
    for field in headers.fields {
      guard !field.name.isEmpty, !Self.breaksLine(field.name), !Self.breaksLine(field.value) else {
        throw TransportError(.invalid, "\(target): the header “\(field.name)” has a line break in it")
      }
    }
    headerLines.set(headers.fields, absent: Self.volunteered.filter { headers[$0] == nil })
    try set(CURLOPT_HTTPHEADER, headerLines.first)
  }

  /// Headers that libcurl adds by itself. Expect costs a round trip, or a second if the server ignores it.
  private static let volunteered = ["Accept", "Content-Type", "Expect"]

  private static func breaksLine(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { $0.contains { $0 == 0 || $0 == 10 || $0 == 13 } }
  }

  func set(_ option: CURLoption, _ value: Int) throws {
    try check(s3m_easy_set_long(handle, option, value), option)
  }

  /// libcurl copies the string (curl_easy_setopt(3)).
  func set(_ option: CURLoption, _ value: String) throws {
    try check(s3m_easy_set_string(handle, option, value), option)
  }

  // SAFETY: libcurl keeps the pointer. Its target (error text, header list, this object) belongs to the
  // handle and lives until the handle is reset or freed. Only the loop's thread calls this.
  func set(_ option: CURLoption, _ value: UnsafeRawPointer?) throws {
    try check(s3m_easy_set_pointer(handle, option, value), option)
  }

  func check(_ code: CURLcode, _ option: CURLoption) throws {
    guard code == CURLE_OK else {
      let cause = String(cString: curl_easy_strerror(code))
      throw TransportError(.invalid, "\(target): libcurl refuses option \(option.rawValue): \(cause)")
    }
  }
}
