import ArgumentParser
import Logging
import S3Mirror

/// The options that all commands share.
struct MirrorOptions: ParsableArguments {
  @Option(help: "The AWS profile for remotes that name none.")
  var profile: String?

  @Option(name: .customLong("endpoint-url"), help: "The S3 service's URL.")
  var endpointURL: String?

  @Option(help: "The bucket's region.")
  var region: String?

  @Flag(name: .customLong("no-sign-request"), help: "Send requests without a signature.")
  var anonymous = false

  @Flag(help: "Allow plain http to other hosts.")
  var allowInsecure = false

  @Flag(help: "Pay for requests and transfers if the bucket's owner does not (Requester Pays).")
  var requesterPays = false

  @Option(
    help: ArgumentHelp(
      "The account that must own every bucket; the command does nothing with any other bucket.",
      valueName: "account"))
  var expectedBucketOwner: String?

  @Option(
    help:
      "Whether signatures cover what is uploaded: always, never, or auto (only where neither TLS nor the loopback protects it)."
  )
  var payloadSigning = Options.PayloadSigning.automatic

  @Option(
    help:
      "The most requests with a payload at one time, over all downloads and uploads: a number, or auto (as many as bring something, 256 at most)."
  )
  var maxWorkers = Options.MaxWorkers.automatic

  @Option(
    help:
      "How often a request is sent before its operation fails; twice as often if the server asks for fewer requests."
  )
  var maxAttempts = 5

  @Option(help: "The largest file sent in one request, in MiB")
  var multipartThreshold = 16

  @Option(help: "The part size to start from, in MiB")
  var partSize = 16

  @Option(help: "The most bytes per second of all uploads together, such as 500K, 20M or 1G.")
  var maxUploadRate: ByteRate?

  @Option(help: "The most bytes per second of all downloads together, such as 500K, 20M or 1G.")
  var maxDownloadRate: ByteRate?

  @Flag(help: "Give other programs priority on the processor and on the disk.")
  var lowPriority = false

  @Option(
    help:
      "Abort multipart uploads under a remote that got no part for this many days; none aborts no upload."
  )
  var staleUploadAge = "7"

  @Option(
    help:
      "How a file and an object of equal size are compared: size (not at all), default (by content if the times leave a doubt) or checksum (always by content)."
  )
  var compare: String = "default"

  @Option(
    help: ArgumentHelp(
      "How much later than a file's last change its object must be dated, so that the contents need not be compared.",
      valueName: "seconds"))
  var suspectWithin = Seconds(900)

  @Option(help: "The most deletes of one batch: a number, or none for no bound.")
  var maxDelete: String?

  @Flag(
    help:
      "Delete an object only if no other program has written it since it was published or listed; the server must support that."
  )
  var deleteIfMatch = false

  @Flag(
    help:
      "Publish a receipt for each complete checkpoint, .s3mirror/receipts/<checkpoint>.json under the remote; restore trusts it, and needs it for frameworks that write no marker. In a group each host always publishes one of its part."
  )
  var receipts = false

  @Option(
    help: ArgumentHelp(
      "Keep this many of the newest complete checkpoints of each series on S3, two at least, and remove older ones from S3, whatever is kept here.",
      valueName: "number"))
  var keepLast: Int?

  @Option(
    help: ArgumentHelp(
      "With --keep-last: keep checkpoints whose step is a multiple of this, too.", valueName: "steps"))
  var keepEvery: Int64?

  @Option(
    help:
      "What happens to the object under the old name of a renamed file: move (deleted if this run published it, even without --delete) or copy (kept)."
  )
  var renames = Options.Renames.move

  @Option(
    help:
      "What to do with symbolic links: pointer (a link to a file inside of the tree becomes a copy of that file's object), link (a small object that a download turns back into a link), follow (upload what they lead to) or skip."
  )
  var symlinks = Options.Symlinks.pointer

  @Option(
    help:
      "What to do with empty directories: skip, or marker (publish a zero-byte object whose key ends in a slash)."
  )
  var emptyDirectories = Options.EmptyDirectories.skip

  @Option(
    help:
      "How a large file that changed is sent: auto (only what changed, and S3 copies the rest from the object that is replaced) or off (whole)."
  )
  var delta = Options.Delta.automatic

  @OptionGroup var names: NameOptions

  @Option(
    help: ArgumentHelp(
      "With interval 0: how long a file must be unchanged before it is published. Also the time between the two readings of a snapshot.",
      valueName: "seconds"))
  var settle = Seconds(1)

  @Option(
    help: ArgumentHelp(
      "How long an open file of --append-names waits for its close before a snapshot of it is published; by default one interval.",
      valueName: "seconds"))
  var openFileGrace: Seconds?

  @Option(
    help: ArgumentHelp(
      "How often everything is compared to make sure that no change was missed; 0 is never.",
      valueName: "seconds"))
  var auditInterval = Seconds(86_400)

  @Option(
    help: ArgumentHelp(
      "How long the end may take. Multipart uploads that are unfinished then stay on S3, and the next run continues them.",
      valueName: "seconds"))
  var exitTimeout: Seconds?

  @Option(
    help:
      "What to do with uploads if the program or the entry fails: upload (publish what there is, delete nothing) or skip."
  )
  var onError = Options.OnError.upload

  @Option(help: "The directory for local paths that are not given.")
  var cacheRoot = "~/.cache/positronic/s3/"

  @Option(help: "The folder of the transfer logs.")
  var logDir: String?

  @Option(help: "Days that transfer logs are kept.")
  var logKeep = 30

  @Option(help: "The name in messages and in the transfer log; by default the command.")
  var name: String?

  @Flag(help: "Show no progress.")
  var noProgress = false

  @Flag(name: .shortAndLong, help: "Print only what went wrong.")
  var quiet = false

  @Flag(name: .shortAndLong, help: "Print every file.")
  var verbose = false

  var narrator: Narrator { narrator(.text) }

  func narrator(_ format: Narrator.Format) -> Narrator {
    Narrator(quiet ? .quiet : verbose ? .verbose : .normal, format: format)
  }

  mutating func validate() throws {
    if case .fixed(let count) = maxWorkers, !(1...10_000).contains(count) {
      throw ValidationError("--max-workers is auto, or from 1 to 10000, not \(count)")
    }
    guard (1...100).contains(maxAttempts) else {
      throw ValidationError("--max-attempts is from 1 to 100, not \(maxAttempts)")
    }
    guard (0...36_500).contains(logKeep) else {
      throw ValidationError("--log-keep is from 0 to 36500 days, not \(logKeep)")
    }
    guard (0...5120).contains(multipartThreshold) else {
      throw ValidationError("--multipart-threshold is from 0 to 5120 MiB")
    }
    guard (5...5120).contains(partSize) else { throw ValidationError("--part-size is from 5 to 5120 MiB") }
    if staleUploadAge != "none" {
      guard let days = Double(staleUploadAge), days >= 0, days < 100_000 else {
        throw ValidationError("--stale-upload-age is a number of days or none, not \"\(staleUploadAge)\"")
      }
    }
    guard Options.Compare(rawValue: compare) != nil else {
      throw ValidationError("--compare is size, default or checksum, not \"\(compare)\"")
    }
    if let keepLast, keepLast < 2 {
      throw ValidationError("--keep-last is 2 or more, not \(keepLast): the newest two always stay")
    }
    if let keepEvery {
      guard keepEvery > 0 else {
        throw ValidationError("--keep-every is a number of steps, not \(keepEvery)")
      }
      guard keepLast != nil else {
        throw ValidationError("--keep-every keeps checkpoints besides those of --keep-last; give that too")
      }
    }
    if let maxDelete, maxDelete != "none", Int(maxDelete).map({ $0 < 0 }) ?? true {
      throw ValidationError("--max-delete is a number or none, not \"\(maxDelete)\"")
    }
  }

  /// The library's options.
  ///
  /// - Parameter command: the mirror's name if none was given.
  func options(for command: String, telling narrator: Narrator) -> Options {
    var options = Options(cacheRoot: cacheRoot, showProgress: !quiet && !noProgress, maxWorkers: maxWorkers)
    options.profile = profile
    options.endpointURL = endpointURL
    options.region = region
    options.anonymous = anonymous
    options.allowInsecure = allowInsecure
    options.payloadSigning = payloadSigning
    options.access = BucketAccess(requesterPays: requesterPays, expectedOwner: expectedBucketOwner)
    options.maxAttempts = maxAttempts
    options.multipartThreshold = Int64(multipartThreshold) << 20
    options.partBytes = Int64(partSize) << 20
    options.delta = delta
    options.maxUploadBytesPerSecond = maxUploadRate?.bytesPerSecond
    options.maxDownloadBytesPerSecond = maxDownloadRate?.bytesPerSecond
    options.lowPriority = lowPriority
    options.staleUploadAge = Double(staleUploadAge).map { .seconds($0 * 86_400) }
    options.compare = Options.Compare(rawValue: compare) ?? .standard
    options.suspectWithin = suspectWithin.duration
    options.symlinks = symlinks
    options.emptyDirectories = emptyDirectories
    options.maxDelete = maxDelete.map { Int($0).map { .limit($0) } ?? .unlimited } ?? .standard
    options.receipts = receipts
    options.keepLast = keepLast
    options.keepEvery = keepEvery
    options.renames = renames
    options.deleteCondition = deleteIfMatch ? .ifMatch : .none
    names.apply(to: &options)
    options.onError = onError
    options.settle = settle.duration
    options.openFileGrace = openFileGrace?.duration
    options.auditInterval = auditInterval.duration > .zero ? auditInterval.duration : nil
    options.exitTimeout = exitTimeout?.duration
    options.logDirectory = logDir
    options.logKeepDays = logKeep
    options.name = name ?? command
    options.logger = Logger(label: "s3mirror") { _ in SwiftLogNoOpLogHandler() }
    options.observer = { narrator.tell($0) }
    return options
  }
}

/// How a command reports its events.
struct EventOptions: ParsableArguments {
  @Flag(help: "Print what happens as JSON lines on standard output; see below.")
  var json = false

  var format: Narrator.Format { json ? .json : .text }

  /// The schema, for `--help`.
  static let schema = """
    With --json every line of standard output is an object with the key "event": \
    transferred (mirror, operation, path, bytes); failed (mirror, operation, path, reason); \
    pass (mirror, kind, number, published, bytes, copied, deleted, withheld, skipped, waiting, failed (the first 100), \
    failedFiles, requests, seconds); \
    downloaded (mirror, files, bytes, unchanged, and at the end local); notice (text); \
    ended (mirror, published, bytes, deleted, skipped, withheld, drift, failures), one for each upload.
    """
}

/// Selects the files of a tree.
struct FilterOptions: ParsableArguments {
  @Option(help: "A gitignore-style pattern, relative to the root; may be given more than once.")
  var exclude: [String] = []

  @Option(help: "Transfer only what matches this pattern; may be given more than once.")
  var include: [String] = []
}

extension Options.MaxWorkers: ExpressibleByArgument {}
extension Options.OnError: ExpressibleByArgument {}
extension Options.PayloadSigning: ExpressibleByArgument {}
extension Options.EmptyDirectories: ExpressibleByArgument {}
extension Options.Delta: ExpressibleByArgument {}
extension Options.Symlinks: ExpressibleByArgument {}

extension Options.Renames: ExpressibleByArgument {}
