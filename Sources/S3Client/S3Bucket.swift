import Digests
import HTTPTransport
import SigV4
import Synchronization

/// A bucket on a server: signs each operation's request, sends it and reads its answer.
///
/// It sends each request once, and once more for each fault that it can repair itself: a wrong clock, a wrong
/// region, expired credentials. All other retries belong to `RetryingStore`.
package final class S3Bucket: ObjectStore {
  /// Whether a request's signature covers its body.
  package enum PayloadSigning: Sendable, Hashable {
    /// Bodies of files are not covered if TLS protects them or if they stay on this machine. Small bodies in
    /// memory are always covered.
    case automatic
    case always
    case never
  }

  /// Called before each request. Nil sends the request unsigned.
  package typealias CredentialsSource = @Sendable () async throws -> AWSCredentials?

  /// Returns replacements for credentials that the server refused as expired or unknown; the same credentials
  /// if there are no others.
  package typealias CredentialsRenewal = @Sendable (_ refused: AWSCredentials) async throws -> AWSCredentials?

  package let bucket: String
  private let endpoint: S3Endpoint
  private let credentials: CredentialsSource
  private let renewal: CredentialsRenewal
  private let payloadSigning: PayloadSigning
  private let commonHeaders: HTTPHeaders
  private let client: any HTTPClient
  /// Seconds since 1970 by this machine's clock.
  private let clock: @Sendable () -> Int64
  private let learned: Mutex<Learned>
  /// Whether TLS protects bodies, or they stay on this machine.
  private let isProtected: Bool

  /// What earlier answers have shown. It applies to all later requests.
  private struct Learned {
    var signer: RequestSigner
    /// The server's clock minus this machine's.
    var clockOffsetSeconds: Int64 = 0
  }

  /// - Parameters:
  ///   - renewal: nil calls `credentials` again.
  ///   - commonHeaders: sent with every request, such as `x-amz-request-payer` and
  ///     `x-amz-expected-bucket-owner`.
  package init(
    bucket: String, endpoint: S3Endpoint, region: String, credentials: @escaping CredentialsSource,
    renewal: CredentialsRenewal? = nil,
    payloadSigning: PayloadSigning = .automatic, commonHeaders: HTTPHeaders = [:], client: any HTTPClient,
    clock: @escaping @Sendable () -> Int64
  ) {
    self.bucket = bucket
    self.endpoint = endpoint
    self.credentials = credentials
    self.renewal = renewal ?? { _ in try await credentials() }
    self.payloadSigning = payloadSigning
    self.commonHeaders = commonHeaders
    self.client = client
    self.clock = clock
    self.isProtected = endpoint.scheme == .https || endpoint.isLoopback
    self.learned = Mutex(Learned(signer: RequestSigner(region: region)))
  }

  package var executors: [any TaskExecutor] { client.executors }

  package var signsBodies: Bool {
    switch payloadSigning {
    case .always: true
    case .never: false
    case .automatic: !isProtected
    }
  }

  package var takesTrailers: Bool { endpoint.scheme == .https && payloadSigning != .always }

  /// The bucket's region as far as it is known: the configured one, or the one that an answer named.
  package var region: String { learned.withLock { $0.signer.region } }

  /// The server's clock minus this machine's, in seconds. It differs from 0 only after a request was refused
  /// because of the clock.
  package var clockOffsetSeconds: Int64 { learned.withLock { $0.clockOffsetSeconds } }

  package func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    do {
      return try await exchange(operation)
    } catch var error as S3Error where error.bucket.isEmpty {
      // An operation that rejects its own input, or the sink of a range, does not know the bucket.
      error.bucket = bucket
      throw error
    }
  }

  private func exchange<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    let request = try operation.request()
    var repaired: Set<Repair> = []
    while true {
      let used = try await currentCredentials(for: operation)
      let state = learned.withLock { ($0.signer, $0.clockOffsetSeconds) }
      let signed = try httpRequest(request, signer: state.0, credentials: used, clockOffset: state.1)
      let http: HTTPResponse
      do {
        http = try await client.send(signed)
      } catch let cause as TransportError {
        throw S3Error(cause, operation: Operation.name, bucket: bucket, key: operation.key)
      }
      let answer = S3Response(bucket: bucket, key: operation.key, http: http)
      if (200..<300).contains(http.status) { return try operation.output(from: answer) }

      let error = S3Error(answer: answer, operation: Operation.name)
      guard let repair = try await repair(error, answer, signer: state.0, clockOffset: state.1, used: used),
        repaired.insert(repair).inserted
      else { throw error }
    }
  }

  /// An error of the credentials source becomes an error of the operation.
  private func currentCredentials(for operation: some S3Operation) async throws -> AWSCredentials? {
    do {
      return try await credentials()
    } catch let cancellation as CancellationError {
      throw cancellation
    } catch {
      throw S3Error(
        operation: type(of: operation).name, bucket: bucket, key: operation.key, status: 0,
        code: S3ErrorTriage.noCredentials, message: "\(error)")
    }
  }
}

/// Faults that one more request can correct.
private enum Repair: Hashable {
  case clock
  case region
  case credentials
}

extension S3Bucket {
  /// AWS allows 15 minutes (S3, "Signature calculations", RequestTimeTooSkewed). The refusal of a HEAD has no
  /// code, so there the clocks are compared.
  private static let allowedSkewSeconds: Int64 = 15 * 60

  /// Repairs what can be repaired. Nil if there is nothing to repair.
  private func repair(
    _ error: S3Error, _ answer: S3Response, signer: RequestSigner, clockOffset: Int64, used: AWSCredentials?
  ) async throws -> Repair? {
    if repairsRegion(error, signer: signer) { return .region }
    guard let used else { return nil }
    if repairsClock(error, answer, clockOffset: clockOffset) { return .clock }
    let doubt = doubt(about: used, after: error, answer)
    if doubt == .none { return nil }
    do {
      let next = try await doubt == .certain ? renewal(used) : credentials()
      return next == used ? nil : .credentials
    } catch let cancellation as CancellationError {
      throw cancellation
    } catch let cause {
      var refusal = error
      refusal.message += (refusal.message.isEmpty ? "" : ". ") + "Other credentials were asked for: \(cause)"
      throw refusal
    }
  }

  /// Whether the credentials are the reason of a refusal.
  private enum Doubt {
    case none
    case possible
    case certain
  }

  /// Codes that concern the credentials (S3 API Reference, "Error responses"). A rotated key is unknown to
  /// the server.
  private static let refusalsOfCredentials: Set = [
    "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId",
  ]

  /// Answers to HEAD have no code. 400 is the status of an expired token (ExpiredToken). 403 has many
  /// reasons, so the source is not asked for a renewal each time.
  private func doubt(about used: AWSCredentials, after error: S3Error, _ answer: S3Response) -> Doubt {
    if Self.refusalsOfCredentials.contains(error.code) { return .certain }
    guard answer.http.body.isEmpty, used.sessionToken != nil else { return .none }
    return switch error.status {
    case 400: .certain
    case 403: .possible
    default: .none
    }
  }

  private func repairsRegion(_ error: S3Error, signer: RequestSigner) -> Bool {
    // The name becomes part of a host name, so it is checked: an answer must not change the host to any
    // other.
    guard let region = error.region, region != signer.region, isRegionName(region),
      [301, 307, 400, 403].contains(error.status)
    else {
      return false
    }
    learned.withLock { $0.signer = RequestSigner(region: region) }
    return true
  }

  private func repairsClock(_ error: S3Error, _ answer: S3Response, clockOffset: Int64) -> Bool {
    let isNamed = error.code == "RequestTimeTooSkewed"
    guard isNamed || (answer.http.body.isEmpty && error.status == 403), let date = answer.serverDate else {
      return false
    }
    let offset = date / 1_000_000_000 - clock()
    guard isNamed ? offset != clockOffset : abs(offset - clockOffset) > Self.allowedSkewSeconds else {
      return false
    }
    learned.withLock { $0.clockOffsetSeconds = offset }
    return true
  }

  private func httpRequest(
    _ request: S3Request, signer: RequestSigner, credentials: AWSCredentials?, clockOffset: Int64
  ) throws -> HTTPRequest {
    let (host, path) = endpoint.address(bucket: bucket, key: request.key, region: signer.region)
    let query = request.query.map { (name: $0.name, value: $0.value ?? "") }
    var headers = request.headers
    for field in commonHeaders.fields where headers[field.name] == nil {
      headers.add(field.name, field.value)
    }
    if let credentials {
      let input = SigningInput(
        method: request.method.rawValue, host: host, path: path, query: query,
        headers: headers.fields.map { ($0.name, $0.value) }, payload: try payloadHash(of: request))
      let time = SigningTime(secondsSince1970: clock() + clockOffset)
      for (name, value) in signer.headers(for: input, credentials: credentials, at: time) {
        headers[name] = value
      }
    }
    let url =
      "\(endpoint.scheme.rawValue)://\(host)\(path)" + (query.isEmpty ? "" : "?" + canonicalQuery(query))
    var signed = HTTPRequest(
      method: request.method, url: url, headers: headers, body: request.body, sink: request.sink)
    signed.silenceSeconds = request.patience
    signed.connection = SendAttempt.connection
    return signed
  }

  /// Bodies up to this number of bytes are always hashed, which takes microseconds.
  private static let smallBodyByteCount: Int64 = 64 << 10

  private func payloadHash(of request: S3Request) throws -> PayloadHash {
    guard let body = request.body else { return .empty }
    if body is TrailedBody { return .streamingUnsignedTrailer }
    if payloadSigning == .never { return .unsigned }
    if let known = request.payloadSHA256 { return .sha256(known) }
    let isLeftOut = payloadSigning == .automatic && isProtected && !(body is BytesBody)
    if isLeftOut || (payloadSigning == .automatic && isProtected && body.byteCount > Self.smallBodyByteCount)
    {
      return .unsigned
    }
    return .sha256(hexadecimal(try hash(of: body)))
  }

  /// Reads a small body once before it is sent. Senders of large bodies supply their hash because of
  /// `signsBodies`.
  private func hash(of body: any RequestBody) throws -> [UInt8] {
    let hasher = SHA256Hasher()
    var offset: Int64 = 0
    while offset < body.byteCount {
      let piece = try body.bytes(from: offset, limit: Int(Self.smallBodyByteCount))
      if piece.isEmpty { break }
      hasher.update(piece)
      offset += Int64(piece.count)
    }
    return hasher.finish()
  }
}
