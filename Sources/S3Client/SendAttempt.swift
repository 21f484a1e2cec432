import HTTPTransport

/// The number of the attempt that a task sends.
enum SendAttempt {
  /// 1 is the first attempt. Nil if the request is not repeated.
  @TaskLocal static var current: Int?

  /// The connection for the attempt. After a connection that broke or fell silent, a new one is used, because
  /// others that have been idle since then may be dead too. A server that asks for fewer requests gets no
  /// additional connections.
  @TaskLocal static var connection = HTTPRequest.Connection.pooled
}
