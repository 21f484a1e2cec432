import CCurl
import LoopThread

/// The owner of a multi handle. It drives the added easy handles and keeps the connections.
///
/// Sockets are watched with an epoll(7) set, and only ready ones are handled. curl_multi_perform(3) would
/// check every transfer at every turn, which for 256 transfers takes longer than the transfers themselves.
///
/// Unchecked: libcurl-thread(3) allows one thread at a time on a handle. All functions except `wake()` are
/// called only on the loop's thread, or after it was joined. Any thread may write to the eventfd while it
/// holds this object.
final class CurlMulti: @unchecked Sendable {
  // SAFETY: created in init, freed in deinit, never passed out.
  private let handle: UnsafeMutableRawPointer
  private let poll: DescriptorPoll
  private let wakeup: Wakeup
  /// When libcurl's next timer is due; nil without one.
  private var timer: ContinuousClock.Instant?
  /// The transfer of each watched socket, by the number that `EasyHandle.prepare` gave it.
  private var owners: [curl_socket_t: UInt] = [:]
  /// Whether `poll` holds the result of a wait that no turn has handled yet.
  private var hasWaited = false
  /// In milliseconds; nil if libcurl decides.
  private var longestWait: CInt?

  init(maxConnections: Int) throws {
    let poll = try DescriptorPoll()
    guard Self.globalState == CURLE_OK, let handle = curl_multi_init() else {
      throw TransportError(.invalid, "libcurl cannot be initialised")
    }
    self.handle = handle
    wakeup = poll.wakeup
    self.poll = poll
    try check(s3m_multi_set_long(handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, maxConnections))
    try check(s3m_multi_set_long(handle, CURLMOPT_MAXCONNECTS, maxConnections))
    try setCallbacks()
  }

  deinit {
    // The cleanup closes connections, which no code waits for any more.
    _ = s3m_multi_set_callbacks(handle, nil, nil, nil)
    curl_multi_cleanup(handle)
  }

  /// Adds a handle. It must be prepared, and removed before it is freed.
  func add(_ easy: EasyHandle) throws {
    try check(curl_multi_add_handle(handle, easy.handle))
  }

  func remove(_ easy: EasyHandle) {
    let code = curl_multi_remove_handle(handle, easy.handle)
    precondition(code == CURLM_OK, "curl_multi_remove_handle(3) failed with \(code.rawValue)")
  }

  /// Handles the transfers whose sockets are ready or whose timers are due, without blocking. The easy
  /// handles' callbacks run inside.
  func perform() throws {
    // A loop that is busy with jobs does not wait, but its sockets must still be polled.
    if !hasWaited { poll.wait(milliseconds: 0) }
    hasWaited = false
    for ready in poll.takeReady() {
      let mask =
        (ready.canRead ? CURL_CSELECT_IN : 0) | (ready.canWrite ? CURL_CSELECT_OUT : 0)
        | (ready.hasFailed ? CURL_CSELECT_ERR : 0)
      try act(on: ready.descriptor, mask)
    }
    // New transfers start with a timer that is due at once.
    if let timer, timer <= .now {
      self.timer = nil
      try act(on: Self.timeoutSocket, 0)
    }
  }

  func nextFinished() -> (id: UInt, result: CURLcode)? {
    var left: Int32 = 0
    while let message = curl_multi_info_read(handle, &left) {
      // SAFETY: the message lives until the next call on this handle; no part of it is kept.
      guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
      return (EasyHandle.id(of: easy), s3m_message_result(message))
    }
    return nil
  }

  /// Blocks until a socket is ready, one of libcurl's timers is due, or `wake()`.
  func wait() {
    poll.wait(milliseconds: waitMilliseconds)
    hasWaited = true
  }

  /// Limits the duration of waits from now on, if something other than libcurl has a timer. Nil means no
  /// limit.
  func limitWait(milliseconds: Int32?) {
    longestWait = milliseconds
  }

  /// The bytes that the other end has not acknowledged yet, by the transfer's number.
  /// CURLINFO_ACTIVESOCKET(3) gives no answer before a transfer's end (seen with libcurl 7.88).
  func unacknowledgedBytes() -> [UInt: Int] {
    var found: [UInt: Int] = [:]
    for (socket, id) in owners { found[id, default: 0] += Int(s3m_socket_unacknowledged(socket)) }
    return found
  }

  func wake() {
    wakeup.signal()
  }

  /// Rounded up, so that the timer is due when the wait ends. -1 means no timeout (epoll_wait(2)).
  private var waitMilliseconds: CInt {
    guard let timer else { return longestWait ?? -1 }
    let rest = (timer - .now) / .milliseconds(1)
    return CInt(min(max(rest.rounded(.up), 0), Double(longestWait ?? .max)))
  }

  private func act(on socket: curl_socket_t, _ mask: CInt) throws {
    var running: Int32 = 0
    try check(curl_multi_socket_action(handle, socket, mask, &running))
  }

  /// CURL_SOCKET_TIMEOUT, a macro with a cast: no socket, check the timers.
  private static let timeoutSocket: curl_socket_t = -1

  /// curl_global_init(3), once in a process and never undone, because other code in the process may use
  /// libcurl too.
  private static let globalState = curl_global_init(Int(CURL_GLOBAL_SSL | CURL_GLOBAL_WIN32))

  private func check(_ code: CURLMcode) throws {
    guard code == CURLM_OK else {
      throw TransportError(.invalid, "libcurl: \(String(cString: curl_multi_strerror(code)))")
    }
  }
}

extension CurlMulti {
  /// SAFETY: the context is this object, unretained. The object owns the handle, and only the handle makes
  /// these calls, inside functions that are called on the loop's thread or in deinit.
  private func setCallbacks() throws {
    let context = Unmanaged.passUnretained(self).toOpaque()
    let code = s3m_multi_set_callbacks(
      handle,
      { easy, socket, what, context, _ in
        CurlMulti.from(context).watch(socket, what, of: easy)
        return 0
      },
      { _, milliseconds, context in
        CurlMulti.from(context).setTimer(milliseconds)
        return 0
      }, context)
    try check(code)
  }

  private static func from(_ context: UnsafeMutableRawPointer?) -> CurlMulti {
    guard let context else { preconditionFailure("libcurl lost its callback's context") }
    return Unmanaged<CurlMulti>.fromOpaque(context).takeUnretainedValue()
  }

  /// - Parameter what: CURL_POLL_IN, CURL_POLL_OUT, both, CURL_POLL_NONE or CURL_POLL_REMOVE.
  private func watch(_ socket: curl_socket_t, _ what: CInt, of easy: UnsafeMutableRawPointer?) {
    if what == CURL_POLL_REMOVE {
      owners[socket] = nil
      return poll.forget(socket)
    }
    if let easy { owners[socket] = EasyHandle.id(of: easy) }
    poll.watch(socket, reading: what & CURL_POLL_IN != 0, writing: what & CURL_POLL_OUT != 0)
  }

  /// - Parameter milliseconds: from now; -1 removes the timer.
  private func setTimer(_ milliseconds: Int) {
    timer = milliseconds < 0 ? nil : .now + .milliseconds(milliseconds)
  }
}
