import MirrorModel
import S3Client
import Transfers

extension DownloadJob {
  /// The download of a spec, to be planned or run.
  ///
  /// - Parameters:
  ///   - store: the spec's bucket, or a wrapper that counts its requests.
  ///   - journal: receives the actions of a run.
  /// - Throws: `TreeError` if the local place cannot be read.
  init(
    _ spec: MirrorSpec, resolved place: ResolvedSpec, name: String, options: Options, store: any ObjectStore,
    resources: TransferResources, journal: Journal
  ) throws {
    self.init(
      name: name, location: place.location, local: place.local,
      isIntoDirectory: try place.isNamedAsDirectory || kind(at: place.local) == .directory,
      filter: place.filter, mode: spec.direction == .sync ? .resume : .mirror, delete: spec.delete,
      bound: options.maxDelete.bound, commitOrder: try CommitOrder(commitLast: options.commitLast),
      compare: options.compare.policy,
      width: Options.downloadsUnderWay(forRequests: options.workerLimit.most),
      questionWidth: options.questionsUnderWay,
      store: store, resources: resources, journal: journal, wallClock: wallClockNanoseconds,
      evidence: spec.direction == .sync ? place.evidence : nil)
  }
}
