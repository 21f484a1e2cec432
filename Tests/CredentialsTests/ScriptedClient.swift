import Foundation
import HTTPTransport
import Synchronization

/// A network that answers from a closure and remembers what it was asked.
final class ScriptedClient: HTTPClient {
  struct Exchange: Sendable {
    var request: HTTPRequest
    var body: String
  }

  private let answer: @Sendable (HTTPRequest) async throws -> HTTPResponse
  private let log = Mutex<[Exchange]>([])

  init(_ answer: @escaping @Sendable (HTTPRequest) async throws -> HTTPResponse) {
    self.answer = answer
  }

  var exchanges: [Exchange] { log.withLock { $0 } }

  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    var bytes = [UInt8](repeating: 0, count: Int(request.body?.byteCount ?? 0))
    _ = try bytes.withUnsafeMutableBytes { try request.body?.copyBytes(from: 0, into: $0) }
    let exchange = Exchange(request: request, body: String(decoding: bytes, as: UTF8.self))
    log.withLock { $0.append(exchange) }
    return try await answer(request)
  }
}

extension HTTPResponse {
  static func ok(_ text: String) -> HTTPResponse { HTTPResponse(status: 200, body: Array(text.utf8)) }
}

/// Credentials as metadata services write them.
func document(_ key: String, expiration: String = "2030-01-01T00:00:00Z") -> String {
  """
  {"Code": "Success", "AccessKeyId": "\(key)", "SecretAccessKey": "verySecretIndeed", "Token": "tok",
   "Expiration": "\(expiration)"}
  """
}

/// Credentials as STS writes them.
func stsAnswer(_ key: String) -> String {
  """
  <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
  <AccessKeyId>\(key)</AccessKeyId><SecretAccessKey>verySecretIndeed</SecretAccessKey>
  <SessionToken>tok==</SessionToken><Expiration>2030-01-01T00:00:00.000Z</Expiration>
  </Credentials></AssumeRoleResult></AssumeRoleResponse>
  """
}

/// 2030-01-01T00:00:00Z, when these documents' credentials end.
let endOfScript = Date(timeIntervalSince1970: 1_893_456_000)
