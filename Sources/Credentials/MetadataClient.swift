import HTTPTransport
import LoopThread

/// Short requests to a service that returns credentials.
struct MetadataClient: Sendable {
  /// A link-local service answers within milliseconds; without one, the connection attempt would hang. AWS's
  /// tools wait 1 s.
  static let deadlineSeconds = 2
  static let attempts = 3

  let client: any HTTPClient
  /// The name of the source in errors.
  let source: String

  /// Sends the request until there is an answer with a status below 500, at most three times.
  ///
  /// - Throws: `CredentialsError`; `CancellationError`.
  func send(_ request: HTTPRequest, deadlineSeconds: Int = deadlineSeconds) async throws -> HTTPResponse {
    var cause = ""
    var certificate: CertificateFault?
    for _ in 0..<Self.attempts {
      do {
        let response = try await beforeDeadline(request, seconds: deadlineSeconds)
        if response.status < 500 { return response }
        cause = "HTTP status \(response.status)"
      } catch let error as TransportError {
        cause = error.message
        certificate = error.certificate
        // A retry would fail in the same way: no service answers, or the certificate is the same.
        if [.connect, .timeout, .tls].contains(error.kind) { break }
      }
    }
    throw CredentialsError(
      source: source, cause: cause,
      remedy: certificate.map { "\($0.remedy.prefix(1).uppercased() + $0.remedy.dropFirst())." }
        ?? "Check that the service runs and that this machine may reach it.")
  }

  private func beforeDeadline(_ request: HTTPRequest, seconds: Int) async throws -> HTTPResponse {
    let client = client
    return try await withThrowingTaskGroup(of: HTTPResponse.self) { group in
      group.addTask { try await client.send(request) }
      group.addTask {
        try await TaskThreads.pause(for: .seconds(seconds))
        throw TransportError(.timeout, "no answer within \(seconds) s")
      }
      defer { group.cancelAll() }
      guard let response = try await group.next() else { throw CancellationError() }
      return response
    }
  }
}
