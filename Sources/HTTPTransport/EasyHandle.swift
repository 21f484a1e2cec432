import CCurl

/// The owner of an easy handle: its options, its callbacks, and its current transfer.
///
/// Not Sendable: the client's isolation keeps it, and so the callbacks, on the loop's thread.
final class EasyHandle {
  // SAFETY: created in init, freed in deinit; the multi handle removes it before.
  let handle: UnsafeMutableRawPointer
  // SAFETY: libcurl writes to it while the handle lives (CURLOPT_ERRORBUFFER(3)); it is freed after the
  // handle.
  let errorText: UnsafeMutablePointer<CChar>
  /// libcurl reads these lines during a transfer. `clear()` removes them from libcurl.
  let headerLines = HeaderLines()

  private(set) var target = "setting up HTTP"
  /// Of the last request. Nearly all of a handle's requests go to one server.
  private var origin: Origin?
  private var body: RequestBodyReader?
  private var response = ResponseReader()
  /// The error that a body, a sink or a limit threw inside a callback. It takes precedence over libcurl's
  /// error.
  private var failure: (any Error)?
  private let silenceSeconds: Int
  private let trust: ConnectionTrust
  private let directory: CertificateDirectory
  /// Whether the current transfer uses the directory.
  private var directoryUse = CertificateDirectory.Use.included
  // SAFETY: libcurl uses it until the handle is freed.
  private let sessions: TLSSessions
  /// The silence of the current transfer.
  private var silence = SilenceClock(limit: .zero)
  /// The proxy for hosts that are not contacted directly; nil takes the environment.
  private let proxy: String?
  let uploadLimit: RateLimit?
  private let downloadLimit: RateLimit?
  /// The direction in which a rate limit pauses the transfer now.
  private(set) var pausedDirection: PausedTransfers.Direction?

  init(_ configuration: CurlClient.Configuration, _ sessions: TLSSessions) throws {
    guard let handle = curl_easy_init() else {
      throw TransportError(.invalid, "libcurl has no memory for a transfer")
    }
    self.handle = handle
    errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
    errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    silenceSeconds = configuration.silenceSeconds
    trust = configuration.trust
    directory = configuration.certificateDirectory
    self.sessions = sessions
    proxy = configuration.proxy
    uploadLimit = configuration.uploadLimit
    downloadLimit = configuration.downloadLimit
    try setConstants(configuration)
    try set(CURLOPT_SHARE, UnsafeRawPointer(sessions.handle))
    try setCallbacks()
  }

  deinit {
    curl_easy_cleanup(handle)
    errorText.deallocate()
  }

  /// Prepares the handle for a request and holds the request's resources until `clear()`.
  func prepare(_ request: HTTPRequest, id: UInt) throws {
    if origin?.isOrigin(of: request.url) != true { origin = Origin(of: request.url) }
    guard let origin else { throw TransportError(.invalid, "the URL is neither http:// nor https://") }
    target = "\(request.method.rawValue) \(origin.authority)"
    body = request.body.map(RequestBodyReader.init)
    response = ResponseReader(sink: request.sink)
    failure = nil
    pausedDirection = nil
    errorText[0] = 0

    try set(CURLOPT_PRIVATE, UnsafeRawPointer(bitPattern: id))
    try set(CURLOPT_URL, request.url)
    try setProxy(origin.isDirect ? "" : proxy)
    directoryUse = directory.use
    try setDirectory(directory.path, directoryUse)
    silence = SilenceClock(limit: .seconds(request.silenceSeconds ?? silenceSeconds))
    try set(CURLOPT_MAXAGE_CONN, trust.mostIdleSeconds())
    try set(CURLOPT_FRESH_CONNECT, request.connection == .fresh ? 1 : 0)
    try set(CURLOPT_BUFFERSIZE, Self.receiveBufferBytes(for: request, downloadLimit))
    try set(CURLOPT_UPLOAD_BUFFERSIZE, Self.sendBufferBytes(for: request))
    try setMethod(request)
    try setHeaders(request.headers)
  }

  /// Limits how long the server may be silent.
  func limitSilence(seconds: Int) { silence.shorten(to: .seconds(seconds)) }

  /// - Parameter bytesUnacknowledged: bytes in the kernel's queue of the transfer's socket.
  func lookForMovement(at now: ContinuousClock.Instant, bytesUnacknowledged: Int) -> SilenceClock.Verdict {
    let isExchanging = number(CURLINFO_REQUEST_SIZE) > 0 && pausedDirection == nil
    return silence.look(
      at: now,
      isExchanging
        ? .init(bytesMoved: bytesSent + bytesReceived, bytesUnacknowledged: bytesUnacknowledged) : nil)
  }

  /// Whether the transfer with this outcome is to be repeated: the server's certificate could not be verified,
  /// and libcurl did not look into its directory. Nothing of the request was sent.
  func wantsDirectory(_ outcome: Result<HTTPResponse, any Error>) -> Bool {
    guard directoryUse == .leftOut, case .failure(let error as TransportError) = outcome,
      error.certificate == .unknownAuthority
    else { return false }
    directory.include()
    return true
  }

  /// Connections that were idle when the transfer fell silent are no longer trusted.
  func noteSuspicion() { trust.noteSilence(since: silence.lastMovement) }

  /// The error of a transfer whose silence exceeds its limit.
  var silenceError: TransportError {
    TransportError(
      .timeout, "\(target): nothing came and nothing went for \(silence.limit.components.seconds) s")
  }

  /// Releases the request and the response.
  func clear() {
    body = nil
    response = ResponseReader()
    failure = nil
    pausedDirection = nil
    _ = s3m_easy_set_pointer(handle, CURLOPT_HTTPHEADER, nil)
  }

  /// Resumes a transfer that a rate limit paused. libcurl may call back at once, and the transfer may be
  /// paused again.
  func goOn() {
    pausedDirection = nil
    // An error ends the transfer and is then its result (curl_easy_pause(3)).
    _ = curl_easy_pause(handle, CURLPAUSE_CONT)
  }

  func outcome(of result: CURLcode) -> Result<HTTPResponse, any Error> {
    if let failure { return .failure(failure) }
    if var head = response.head {
      head.wait = .microseconds(offset(CURLINFO_STARTTRANSFER_TIME_T) - offset(CURLINFO_PRETRANSFER_TIME_T))
      if result == CURLE_OK { return .success(head) }
      // A server that refuses an upload may answer and reset the connection during the sending. The status
      // gives the reason, so the answer counts even if the end of its text is lost.
      let isBroken = [CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE].contains(result)
      if isBroken && head.status >= 300 && body != nil { return .success(head) }
    }
    let triage = ErrorTriage(
      result: result, message: String(cString: errorText),
      connection: connectionsOpened == 0 ? .reused : .fresh, bytesReceived: response.bytesReceived,
      verifyResult: number(CURLINFO_SSL_VERIFYRESULT),
      request: number(CURLINFO_REQUEST_SIZE) > 0 ? .sent : .unsent)
    return .failure(triage.error(target: target))
  }

  var connectionsOpened: Int { number(CURLINFO_NUM_CONNECTS) }
  var bytesSent: Int64 { Int64(number(CURLINFO_REQUEST_SIZE)) + offset(CURLINFO_SIZE_UPLOAD_T) }
  var bytesReceived: Int64 { Int64(number(CURLINFO_HEADER_SIZE)) + offset(CURLINFO_SIZE_DOWNLOAD_T) }

  private func number(_ field: CURLINFO) -> Int {
    var value = 0
    _ = s3m_easy_get_long(handle, field, &value)
    return value
  }

  private func offset(_ field: CURLINFO) -> Int64 {
    var value: curl_off_t = 0
    _ = s3m_easy_get_offset(handle, field, &value)
    return Int64(value)
  }

  /// The number that `prepare` gave to a handle's transfer.
  static func id(of handle: UnsafeMutableRawPointer) -> UInt {
    var value: UnsafeMutableRawPointer?
    _ = s3m_easy_get_pointer(handle, CURLINFO_PRIVATE, &value)
    return UInt(bitPattern: value)
  }
}

extension EasyHandle {
  /// SAFETY: the context is this object, unretained. The object owns the handle, and only the handle makes
  /// these calls, inside curl_multi_perform(3) on the loop's thread. Buffers are valid during the call and
  /// are not kept.
  private func setCallbacks() throws {
    let context = UnsafeRawPointer(Unmanaged.passUnretained(self).toOpaque())
    for option in [CURLOPT_READDATA, CURLOPT_SEEKDATA, CURLOPT_WRITEDATA, CURLOPT_HEADERDATA] {
      try set(option, context)
    }
    try setCallback(CURLOPT_READFUNCTION) { bytes, size, count, context in
      EasyHandle.from(context).read(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
    }
    try setCallback(CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
      EasyHandle.from(context).receiveBody(UnsafeRawBufferPointer(start: bytes, count: size * count))
    }
    try setCallback(CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
      EasyHandle.from(context).receive(UnsafeRawBufferPointer(start: bytes, count: size * count)) {
        try $0.readHeaderLine($1)
      }
    }
    let code = s3m_easy_set_seek_callback(handle) { context, offset, origin in
      guard origin == SEEK_SET else { return CURL_SEEKFUNC_CANTSEEK }
      EasyHandle.from(context).body?.offset = Int64(offset)
      return CURL_SEEKFUNC_OK
    }
    try check(code, CURLOPT_SEEKFUNCTION)
  }

  private func setCallback(_ option: CURLoption, _ callback: s3m_transfer_callback) throws {
    try check(s3m_easy_set_transfer_callback(handle, option, callback), option)
  }

  private static func from(_ context: UnsafeMutableRawPointer?) -> EasyHandle {
    guard let context else { preconditionFailure("libcurl lost its callback's context") }
    return Unmanaged<EasyHandle>.fromOpaque(context).takeUnretainedValue()
  }

  private func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    do {
      var buffer = buffer
      if let uploadLimit, let rest = body?.remaining, rest > 0 {
        let allowed = uploadLimit.take(upTo: Int(min(rest, Int64(buffer.count))))
        if allowed == 0 {
          pausedDirection = .sending
          return Int(CURL_READFUNC_PAUSE)
        }
        buffer = UnsafeMutableRawBufferPointer(rebasing: buffer[..<allowed])
      }
      return try body?.read(into: buffer) ?? 0
    } catch {
      failure = error
      return Int(CURL_READFUNC_ABORT)
    }
  }

  private func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Int {
    // libcurl keeps refused bytes and delivers them again.
    if let downloadLimit, !bytes.isEmpty, !downloadLimit.admit(bytes.count) {
      pausedDirection = .receiving
      return Int(CURL_WRITEFUNC_PAUSE)
    }
    return receive(bytes) { try $0.readBody($1) }
  }

  /// Any count other than the number of given bytes ends the transfer (CURLOPT_WRITEFUNCTION(3)).
  private func receive(
    _ bytes: UnsafeRawBufferPointer, _ read: (inout ResponseReader, UnsafeRawBufferPointer) throws -> Void
  ) -> Int {
    do {
      try read(&response, bytes)
      return bytes.count
    } catch {
      failure = error
      return bytes.isEmpty ? 1 : 0
    }
  }
}
