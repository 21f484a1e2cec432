import Credentials
import Foundation
import HTTPTransport

/// A home directory with AWS files in it, removed with the object.
final class TemporaryHome {
  let path: String

  init(config: String? = nil, credentials: String? = nil) throws {
    path = FileManager.default.temporaryDirectory.appending(path: "home-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path + "/.aws", withIntermediateDirectories: true)
    if let config { try write(config, to: ".aws/config") }
    if let credentials { try write(credentials, to: ".aws/credentials") }
  }

  deinit {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      print("left behind: \(path) (\(error))")
    }
  }

  func write(_ text: String, to name: String) throws {
    try text.write(toFile: path + "/" + name, atomically: true, encoding: .utf8)
  }

  func resolve(
    profile: String? = nil, overrides: ConnectionOverrides = ConnectionOverrides(),
    environment: [String: String] = [:], client: (any HTTPClient)? = nil,
    now: @escaping @Sendable () -> Date = { Date() }
  ) throws -> ResolvedConnection {
    try resolveConnection(
      profile: profile, overrides: overrides, environment: environment, homeDirectory: path,
      client: { _ in client },
      now: now)
  }

  func shared(environment: [String: String] = [:]) throws -> SharedConfiguration {
    try SharedConfiguration(environment: environment, homeDirectory: path)
  }
}
