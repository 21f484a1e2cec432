import Foundation
import SigV4
import Testing

/// One case of AWS's published test suite (aws-c-auth): a request, its context and every step to its signature.
struct GeneralVector: Sendable, CustomTestStringConvertible {
  var name: String
  var request: SigningInput
  var credentials: AWSCredentials
  var signer: RequestSigner
  var time: SigningTime
  var expiresInSeconds: Int
  var testDescription: String { name }

  private struct Context: Decodable {
    struct Credentials: Decodable {
      var access_key_id: String
      var secret_access_key: String
      var token: String?
    }
    var credentials: Credentials
    var expiration_in_seconds: Int
    var normalize: Bool
    var region: String
    var service: String
    var sign_body: Bool
    var timestamp: String
    var omit_session_token: Bool?
  }

  static let directory = Bundle.module.bundleURL.appending(path: "Resources/sigv4-aws")

  static func all() throws -> [GeneralVector] {
    try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: [.isDirectoryKey])
      .filter(\.hasDirectoryPath)
      .map { try GeneralVector(name: $0.lastPathComponent) }
      .sorted { $0.name < $1.name }
  }

  func file(_ name: String) throws -> String {
    try String(contentsOf: Self.directory.appending(path: "\(self.name)/\(name)"), encoding: .utf8)
  }

  init(name: String) throws {
    self.name = name
    let folder = Self.directory.appending(path: name)
    let context = try JSONDecoder().decode(
      Context.self, from: Data(contentsOf: folder.appending(path: "context.json")))
    credentials = AWSCredentials(
      accessKeyID: context.credentials.access_key_id, secretAccessKey: context.credentials.secret_access_key,
      sessionToken: context.credentials.token)
    signer = RequestSigner(
      region: context.region, service: context.service,
      dialect: SigningDialect(
        pathEncoding: .twice, pathSegments: context.normalize ? .normalized : .kept,
        contentHash: context.sign_body ? .sent : .implied,
        sessionToken: context.omit_session_token == true ? .addedAfterSigning : .signed))
    let date = try Date(context.timestamp, strategy: .iso8601)
    time = SigningTime(secondsSince1970: Int64(date.timeIntervalSince1970))
    expiresInSeconds = context.expiration_in_seconds
    request = try Self.request(String(contentsOf: folder.appending(path: "request.txt"), encoding: .utf8))
  }

  /// Reads an HTTP/1.1 message with folded fields and, in the target, characters that no client would send unescaped.
  private static func request(_ text: String) throws -> SigningInput {
    let parts = text.split(separator: "\n\n", maxSplits: 1, omittingEmptySubsequences: false)
    var lines = parts[0].split(separator: "\n")
    let start = lines.removeFirst()
    let method = start.prefix { $0 != " " }
    let target = start.dropFirst(method.count + 1).dropLast(" HTTP/1.1".count)
    var headers: [(name: String, value: String)] = []
    for line in lines {
      if line.hasPrefix(" "), let last = headers.indices.last {
        headers[last].value += "\n" + line
      } else {
        let name = line.prefix { $0 != ":" }
        headers.append((String(name), String(line.dropFirst(name.count + 1))))
      }
    }
    let host = headers.first { $0.name == "Host" }?.value ?? ""
    let body = parts.count > 1 ? Array(parts[1].utf8) : []
    return SigningInput(
      method: String(method), host: host, path: String(target.prefix { $0 != "?" }),
      query: query(of: target), headers: headers, payload: .sha256(hexadecimal(of: body)))
  }
}

/// A target's query, decoded.
func query(of target: some StringProtocol) -> [(name: String, value: String)] {
  guard let question = target.firstIndex(of: "?") else { return [] }
  return target[target.index(after: question)...].split(separator: "&").map { parameter in
    let name = parameter.prefix { $0 != "=" }
    let value = parameter.dropFirst(name.count + 1)
    return (String(name).removingPercentEncoding ?? "", String(value).removingPercentEncoding ?? "")
  }
}
