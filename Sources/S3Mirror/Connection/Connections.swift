import Credentials
import Glibc
import HTTPTransport
import LoopThread
import MirrorModel
import S3Client
import Synchronization
import Transfers

/// Opens a mirror's network resources, once each: credentials for each profile, HTTP clients, stores for each
/// bucket.
final class Connections: BucketSource {
  private struct ClientKey: Hashable {
    var caBundlePath: String?
    var proxy: String?
  }

  private struct BucketKey: Hashable {
    var profile: String?
    var name: String
    var access: BucketAccess
  }

  private struct State {
    var clients: [ClientKey: BalancedClient] = [:]
    var connections: [String?: ResolvedConnection] = [:]
    var buckets: [BucketKey: OpenBucket] = [:]
  }

  private let options: Options
  private let environment: [String: String]
  private let homeDirectory: String
  private let state = Mutex(State())
  private let budget = RetryBudget()
  private let patience = FinalPatience()
  private let retries = FailureReporter()
  private let slots: FairSemaphore
  private let uploadLimit: RateLimit?
  private let downloadLimit: RateLimit?

  /// - Parameter slots: the request slots of all transfers. When a server asks for fewer requests, there are
  ///   fewer slots.
  init(options: Options, environment: [String: String], homeDirectory: String, slots: FairSemaphore) {
    self.options = options
    self.slots = slots
    self.environment = environment
    self.homeDirectory = homeDirectory
    uploadLimit = options.maxUploadBytesPerSecond.map { RateLimit(bytesPerSecond: $0) }
    downloadLimit = options.maxDownloadBytesPerSecond.map { RateLimit(bytesPerSecond: $0) }
  }

  convenience init(_ options: Options, _ process: ProcessEnvironment, _ resources: TransferResources) {
    self.init(
      options: options, environment: process.variables, homeDirectory: process.homeDirectory,
      slots: resources.slots)
  }

  /// The bucket of a location.
  ///
  /// - Throws: `MirrorError.configuration` that names the profile, file or variable at fault, and the remedy.
  func bucket(of location: S3Location, access: BucketAccess?) throws -> OpenBucket {
    let access = access ?? options.access
    do {
      return try state.withLock { state in
        let profile = location.profile ?? options.profile
        let key = BucketKey(profile: profile, name: location.bucket, access: access)
        if let known = state.buckets[key] { return known }
        let connection = try connection(for: profile, in: &state)
        let bucket = try open(location.bucket, over: connection, access: access, in: &state)
        state.buckets[key] = bucket
        return bucket
      }
    } catch let error as MirrorError {
      throw error
    } catch {
      throw MirrorError(.configuration, "\(location.url): \(error)")
    }
  }

  func beginEnd() async {
    patience.begin()
    let clients = state.withLock { Array($0.clients.values) }
    for client in clients { await client.limitSilence(seconds: FinalPatience.attemptSeconds) }
  }

  func answer() async {
    let clients = state.withLock { Array($0.clients.values) }
    for client in clients { await client.answer() }
  }

  /// Closes every connection and joins the loop threads.
  func close() async {
    let clients = state.withLock { state in
      defer { state = State() }
      return Array(state.clients.values)
    }
    for client in clients { await client.close() }
  }

  private func connection(for profile: String?, in state: inout State) throws -> ResolvedConnection {
    if let known = state.connections[profile] { return known }
    var overrides = ConnectionOverrides()
    overrides.region = options.region
    overrides.endpointURL = options.endpointURL
    overrides.isAnonymous = options.anonymous
    overrides.allowInsecure = options.allowInsecure
    let resolved = try resolveConnection(
      profile: profile, overrides: overrides, environment: environment, homeDirectory: homeDirectory,
      client: { try client(ClientKey(caBundlePath: $0), in: &state) })
    state.connections[profile] = resolved
    return resolved
  }

  /// One loop per processor, at most four. A second loop takes a fifth off a large upload's time and a
  /// quarter off a large download's (`Scripts/bench transfer`). More than two loops were not measured.
  private static let loopCount = min(4, max(1, sysconf(CInt(_SC_NPROCESSORS_ONLN))))

  private func client(_ key: ClientKey, in state: inout State) throws -> BalancedClient {
    if let known = state.clients[key] { return known }
    var configuration = CurlClient.Configuration()
    configuration.caBundlePath = key.caBundlePath
    configuration.proxy = key.proxy
    configuration.uploadLimit = uploadLimit
    configuration.downloadLimit = downloadLimit
    configuration.priority = options.lowPriority ? .low : .normal
    configuration.onLateMovement = { [patience] in patience.noteMovement() }
    configuration.userAgent = "s3mirror/\(s3MirrorVersion)"
    // Every transfer has a connection, and requests without a payload do not wait for one.
    configuration.maxConnections = max(configuration.maxConnections, options.workerLimit.most + 16)
    let client = try BalancedClient(configuration, loops: Self.loopCount)
    state.clients[key] = client
    return client
  }

  private func open(
    _ name: String, over connection: ResolvedConnection, access: BucketAccess, in state: inout State
  ) throws -> OpenBucket {
    let client = try client(
      ClientKey(caBundlePath: connection.caBundlePath, proxy: connection.proxy), in: &state)
    let endpoint = S3Endpoint(connection)
    try Self.checkKind(of: name, at: endpoint)
    let bucket = S3Bucket(
      bucket: name, endpoint: endpoint, region: connection.region,
      credentials: { try await connection.signingCredentials() },
      renewal: { try await connection.signingCredentials(after: $0) },
      payloadSigning: options.payloadSigning.policy, commonHeaders: access.headers,
      client: client,
      clock: { wallClockNanoseconds() / 1_000_000_000 })
    let policy = RetryPolicy(maxAttempts: options.maxAttempts)
    let (logger, retries) = (options.logger, retries)
    let (budget, patience) = (budget, patience)
    let slots = slots
    return OpenBucket(
      service: bucket,
      retrying: { service in
        RetryingStore(
          PressureSensingStore(service, slots: slots, clock: RateLimit.monotonicClock), policy: policy,
          budget: budget, patience: patience,
          // A request that waits for its retry gives its slot to another request.
          pause: { delay in
            try await FairSemaphore.yieldingPermit { try await ServiceRecovery.pause(for: delay) }
          },
          onRetry: { retry in
            // An outage causes thousands of retries too, so they are limited like failures.
            let subject = OutageNotices.Subject(mirror: retry.error.bucket, path: retry.error.key ?? "")
            for notice in retries.failed(subject, because: FailureCause.text(of: retry.error)).notices {
              let text = notice.text ?? "\(retry.error), sent again in \(retry.delaySeconds) s"
              logger.info("\(visible(text))")
            }
          })
      }, identity: "\(endpoint.identity)/\(name)")
  }
}

extension Connections {
  /// Directory buckets (S3 Express One Zone) have hosts of their own and sign requests with sessions (S3 User
  /// Guide, "Directory bucket naming rules" and "Authenticating and authorizing requests", CreateSession).
  /// S3's regular hosts do not know these buckets and would answer "no such bucket".
  ///
  /// On other services such a name has no special meaning.
  private static func checkKind(of name: String, at endpoint: S3Endpoint) throws {
    guard case .aws = endpoint.host, name.hasSuffix("--x-s3") || name.hasSuffix("--xa-s3") else { return }
    throw ConfigurationError(
      subject: "bucket \(name)", cause: "is a directory bucket (S3 Express One Zone), which is not supported",
      remedy: "Mirror to a general purpose bucket; S3 can copy from there.")
  }
}

extension S3Endpoint {
  fileprivate init(_ connection: ResolvedConnection) {
    let addressing: Addressing =
      switch connection.addressing {
      case .automatic: .automatic
      case .path: .path
      case .virtualHost: .virtualHost
      }
    if let url = connection.endpoint {
      self.init(
        scheme: url.scheme == .https ? .https : .http, host: .named(url.host), port: url.port,
        basePath: url.path, addressing: addressing)
    } else {
      self.init(scheme: .https, host: .aws(connection.variant), addressing: addressing)
    }
  }

  /// Scheme, host, port and path. They identify the service.
  fileprivate var identity: String {
    let name =
      switch host {
      case .aws: "aws"
      case .named(let name): name
      }
    return "\(scheme.rawValue)://\(name):\(port ?? 0)\(basePath)"
  }
}
