import CCurl

/// The owner of a multi handle: it drives the easy handles that are added to it, and keeps the connections.
///
/// Unchecked: libcurl-thread(3) allows one thread at a time on a handle. All but `wake()` is called on the loop's
/// thread only, or after it was joined; curl_multi_wakeup(3) is made for any thread, and LoopThread never calls
/// it after its end.
final class CurlMulti: @unchecked Sendable {
  // SAFETY: made in init, freed in deinit, never handed out.
  private let handle: UnsafeMutableRawPointer
  /// On the loop's thread only, as all but `wake()`.
  private var waitMilliseconds = longestWaitMilliseconds

  init(maxConnections: Int) throws {
    guard Self.globalState == CURLE_OK, let handle = curl_multi_init() else {
      throw TransportError(.invalid, "libcurl cannot be initialised")
    }
    self.handle = handle
    try check(s3m_multi_set_long(handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, maxConnections))
    try check(s3m_multi_set_long(handle, CURLMOPT_MAXCONNECTS, maxConnections))
  }

  deinit {
    curl_multi_cleanup(handle)
  }

  /// The handle must be prepared, and removed before it is freed.
  func add(_ easy: EasyHandle) throws {
    try check(curl_multi_add_handle(handle, easy.handle))
  }

  func remove(_ easy: EasyHandle) {
    let code = curl_multi_remove_handle(handle, easy.handle)
    precondition(code == CURLM_OK, "curl_multi_remove_handle(3) failed with \(code.rawValue)")
  }

  /// Moves every transfer on as far as it goes without blocking; the easy handles' callbacks run inside.
  func perform() throws {
    var running: Int32 = 0
    try check(curl_multi_perform(handle, &running))
  }

  func nextFinished() -> (id: UInt, result: CURLcode)? {
    var left: Int32 = 0
    while let message = curl_multi_info_read(handle, &left) {
      // SAFETY: the message lives until the next call on this handle; nothing of it is kept.
      guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
      return (EasyHandle.id(of: easy), s3m_message_result(message))
    }
    return nil
  }

  /// Blocks until a socket is ready, one of libcurl's timers is due, or `wake()`.
  func wait() {
    // A failure (curl_multi_poll(3)) leaves nothing to do but the next turn, where curl_multi_perform reports.
    _ = curl_multi_poll(handle, nil, 0, waitMilliseconds, nil)
  }

  /// The longest that the waits from now on take, where something else than libcurl has a timer; nil: as long as it likes.
  func limitWait(milliseconds: Int32?) {
    waitMilliseconds = milliseconds ?? Self.longestWaitMilliseconds
  }

  func wake() {
    curl_multi_wakeup(handle)
  }

  /// libcurl shortens the wait to its own timers; with none, there is nothing to wake for.
  private static let longestWaitMilliseconds: Int32 = .max

  /// curl_global_init(3), once in a process and never undone: others in the process may use libcurl too.
  private static let globalState = curl_global_init(Int(CURL_GLOBAL_SSL | CURL_GLOBAL_WIN32))

  private func check(_ code: CURLMcode) throws {
    guard code == CURLM_OK else {
      throw TransportError(.invalid, "libcurl: \(String(cString: curl_multi_strerror(code)))")
    }
  }
}
