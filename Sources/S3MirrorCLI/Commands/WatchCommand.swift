import ArgumentParser
import FoundationEssentials
import S3Mirror

/// Publishes directories continuously until a signal ends it.
struct WatchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "watch",
    abstract: "Stream directories to S3 until SIGINT or SIGTERM, then compare everything once more.",
    usage: "s3mirror watch LOCAL REMOTE [options]\ns3mirror watch --config FILE [options]",
    discussion: """
      --config names a JSON file: {"uploads": [{"name": …, "local": …, "remote": …}, …]}. An upload may also have interval \
      (seconds or "none"), delete, exclude, include, storageClass, sse, sseKMSKeyID, acl, tags, metadata, contentType \
      (by-extension or none), requesterPays and expectedBucketOwner; for what it leaves out the options count. \
      Relative paths are relative to the file.

      Under a service manager that sets NOTIFY_SOCKET (systemd with Type=notify) it reports when every upload has been compared, \
      asks for time while it publishes, and answers the watchdog only while the mirror moves.

      \(EventOptions.schema)
      """)

  @Argument(help: "The directory, or one file.")
  var local: String?

  @Argument(help: "s3://[profile@]bucket/prefix")
  var remote: String?

  @Option(help: ArgumentHelp("Watch what this file lists, instead of LOCAL.", valueName: "file"))
  var config: String?

  @Option(
    help: ArgumentHelp(
      "The time from tick to tick; 0 publishes each change as soon as it is closed and quiet.",
      valueName: "seconds"))
  var interval = Seconds(300)

  @Flag(help: "Delete objects whose file is gone.")
  var delete = false

  @OptionGroup var events: EventOptions
  @OptionGroup var filter: FilterOptions
  @OptionGroup var properties: PropertyOptions
  @OptionGroup var control: ControlOptions
  @OptionGroup var group: GroupOptions
  @OptionGroup var mirror: MirrorOptions

  func validate() throws {
    if config != nil, local != nil {
      throw ValidationError("--config lists what is watched; leave LOCAL and REMOTE out")
    }
    if config == nil, local == nil || remote == nil {
      throw ValidationError("there is nothing to watch; write LOCAL and REMOTE, or --config FILE")
    }
  }

  func run() async throws {
    let narrator = mirror.narrator(events.format)
    var options = mirror.options(for: "watch", telling: narrator)
    options.controlSocket = control.controlSocket
    try group.apply(to: &options)
    let specs = try specs(as: mirror.name ?? "watch", options)
    for (name, spec) in specs where spec.isPassThrough {
      throw MirrorError(
        .invalid,
        "\(name): the remote \(spec.remote) is a local path, where nothing is sent; name s3://bucket/prefix")
    }
    let service = ServiceNotifier(environment: ProcessInfo.processInfo.environment)
    if let service {
      options.observer = { event in
        narrator.tell(event)
        service.tell(event)
      }
    }
    let scope = try MirrorScope(options: options)
    let supervisor = try Supervisor()
    service?.begin(.entering, of: scope)
    try await scope.enter(under: supervisor, onFirst: .finish) { try await scope.enter(labelled: specs) }
    service?.begin(.running, of: scope)
    // An attempt that was taken over has nothing left to do.
    await supervisor.firstArrival { arrived in scope.whenFenced(arrived) }
    if supervisor.firstSignal != nil { narrator.tellOfFirstSignal(mirror.name ?? "watch") }
    service?.begin(.ending, of: scope)
    let report = await scope.exit(.returned)
    service?.end()
    narrator.tell(report)
    if let signal = supervisor.secondSignal { throw ExitStatus.signal(signal) }
    throw ExitStatus(report)
  }

  private func specs(as label: String, _ options: Options) throws -> [(name: String, spec: MirrorSpec)] {
    let properties = try properties.properties()
    if let config {
      return try WatchConfiguration(path: config).uploads.map { upload in
        (name: upload.name, spec: spec(of: upload, properties, options))
      }
    }
    let only = MirrorSpec.upload(
      remote ?? "", local: local, interval: interval.duration, delete: delete, exclude: filter.exclude,
      include: filter.include, properties: properties)
    return [(name: label, spec: only)]
  }

  /// Values that the entry leaves out come from the options.
  private func spec(
    of upload: WatchConfiguration.Upload, _ general: ObjectProperties, _ options: Options
  ) -> MirrorSpec {
    var properties = general
    properties.storageClass = upload.storageClass ?? general.storageClass
    properties.encryption =
      PropertyOptions.encryption(upload.sse, keyID: upload.sseKMSKeyID) ?? general.encryption
    properties.acl = upload.acl ?? general.acl
    properties.tags = upload.tags ?? general.tags
    properties.metadata = upload.metadata ?? general.metadata
    properties.contentType = upload.contentType ?? general.contentType
    let duration: Duration? =
      switch upload.interval {
      case nil: interval.duration
      case .some(.none): nil
      case .seconds(let seconds): .seconds(seconds)
      }
    var access = options.access
    access.requesterPays = upload.requesterPays ?? access.requesterPays
    access.expectedOwner = upload.expectedBucketOwner ?? access.expectedOwner
    return .upload(
      upload.remote, local: upload.local, interval: duration, delete: upload.delete ?? delete,
      exclude: upload.exclude ?? filter.exclude, include: upload.include ?? filter.include,
      properties: properties, access: access)
  }
}

extension ObjectProperties.ContentType: Decodable {}
