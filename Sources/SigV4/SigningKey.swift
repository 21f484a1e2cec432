import Digests
import Synchronization

/// The day, region and service of a signature: `20130524/us-east-1/s3/aws4_request`.
struct CredentialScope: Sendable {
  var date: String
  var region: String
  var service: String

  var text: String { "\(date)/\(region)/\(service)/aws4_request" }

  /// The key for one day, region and service (AWS General Reference, "Derive a signing key").
  func signingKey(secret: String) -> HMACKey {
    [date, region, service, "aws4_request"].reduce(HMACKey(Array("AWS4".utf8) + Array(secret.utf8))) {
      key, word in HMACKey(key.code(of: word))
    }
  }
}

/// The most recent signing keys of one region and service.
///
/// Deriving a key takes four HMACs and a signature takes one; a key changes once a day or when credentials
/// are refreshed. Four entries suffice around midnight and around a refresh. The oldest entry is replaced
/// first.
final class SigningKeyCache: Sendable {
  private struct Entry {
    var secret: String
    var date: String
    var key: HMACKey
  }

  private static let capacity = 4
  private let entries = Mutex<[Entry]>([])

  func key(for scope: CredentialScope, secret: String) -> HMACKey {
    entries.withLock { entries in
      let known = entries.first {
        $0.date.utf8.elementsEqual(scope.date.utf8) && $0.secret.utf8.elementsEqual(secret.utf8)
      }
      if let known { return known.key }
      let key = scope.signingKey(secret: secret)
      if entries.count == Self.capacity { entries.removeFirst() }
      entries.append(Entry(secret: secret, date: scope.date, key: key))
      return key
    }
  }
}

extension SigningKeyCache: CustomReflectable {
  /// Keeps keys and secrets out of dumps.
  var customMirror: Mirror { Mirror(self, children: [:]) }
}
