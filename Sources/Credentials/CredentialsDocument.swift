import FoundationEssentials
import SigV4

/// The JSON document in which metadata services and credential processes return credentials.
struct CredentialsDocument: Decodable {
  private var version: Int?
  private var accessKeyID: String
  private var secretAccessKey: String
  private var token: String?
  private var sessionToken: String?
  private var expiration: String?

  private enum CodingKeys: String, CodingKey {
    case version = "Version"
    case accessKeyID = "AccessKeyId"
    case secretAccessKey = "SecretAccessKey"
    case token = "Token"
    case sessionToken = "SessionToken"
    case expiration = "Expiration"
  }

  /// Reads the document.
  ///
  /// - Throws: `CredentialsError` that holds nothing of the document.
  static func credentials(from bytes: [UInt8], source: String) throws -> AWSCredentials {
    let document: CredentialsDocument
    do {
      document = try JSONDecoder().decode(CredentialsDocument.self, from: Data(bytes))
    } catch {
      throw CredentialsError(
        source: source, cause: "the answer is not a JSON object with AccessKeyId and SecretAccessKey",
        remedy: "See what the source reports about the role or account.")
    }
    if let version = document.version, version != 1 {
      throw CredentialsError(
        source: source, cause: "the answer has version \(version)", remedy: "Version 1 is the only one.")
    }
    var end: Date?
    if let text = document.expiration {
      guard let date = date(iso8601: text) else {
        throw CredentialsError(
          source: source, cause: "the answer's Expiration is no date",
          remedy: "It has the form 2026-01-31T12:00:00Z (ISO 8601).")
      }
      end = date
    }
    return AWSCredentials(
      accessKeyID: document.accessKeyID, secretAccessKey: document.secretAccessKey,
      sessionToken: document.token ?? document.sessionToken, expiration: end)
  }
}

/// An instant in ISO 8601, with or without fractions of a second.
func date(iso8601 text: String) -> Date? {
  let styles = [Date.ISO8601FormatStyle(), Date.ISO8601FormatStyle(includingFractionalSeconds: true)]
  for style in styles {
    do {
      return try style.parse(text)
    } catch {
      continue  // The next style may know it.
    }
  }
  return nil
}
