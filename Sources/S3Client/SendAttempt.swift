import HTTPTransport

/// Which attempt of its request a task sends.
enum SendAttempt {
  /// 1 is the first. Nil where nobody would send it again.
  @TaskLocal static var current: Int?

  /// What the attempt goes over: a new connection after one that broke or fell silent, since others that have been idle
  /// since then may be as dead. A server that asks for patience is not given more connections.
  @TaskLocal static var connection = HTTPRequest.Connection.pooled
}
