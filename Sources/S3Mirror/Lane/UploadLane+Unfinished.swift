import LocalTree
import LoopThread
import MirrorModel
import S3Client
import Transfers

/// Multipart uploads that will never be finished: their file was renamed or deleted after parts had failed,
/// the answer was lost, or an earlier run left them for files that are gone.
extension UploadLane {
  /// Finds multipart uploads that were left unfinished, to resume them, and aborts stale ones.
  ///
  /// - Throws: `CancellationError`. If uploads cannot be listed, for whatever reason, files are published
  ///   without resuming.
  func takeStock() async throws {
    do {
      try await uploader.pending.load(from: store, prefix: settings.mapping.listingPrefix)
    } catch let error as S3Error {
      journal.notice(
        "\(settings.name): unfinished multipart uploads cannot be listed, so those that are not known are neither resumed nor swept "
          + "(s3:ListBucketMultipartUploads): \(error)")
    }
    await sweepStaleUploads()
    await noteRetired()
  }

  private func sweepStaleUploads() async {
    guard let age = uploader.settings.staleUploadAge else { return }
    let mapping = settings.mapping
    let sweep = await uploader.pending.sweep(
      store, olderThan: age, now: wallClock(), where: { mapping.path(forKey: $0) != nil })
    for (key, uploadID) in sweep.aborted {
      journal.aborted(uploadID, mirror: settings.name, key: key, because: .stale)
    }
    for (key, error) in sweep.failures {
      journal.failedToAbort(mirror: settings.name, key: key, error: error)
    }
  }

  /// Aborts the multipart uploads that this run began and could not finish, and reports those that may be
  /// another writer's.
  ///
  /// - Parameter outcome: the result of the last comparison. If something is unpublished, the parts of files
  ///   that still exist are kept for the next run.
  func settleUnfinished(after outcome: PassOutcome) async {
    let isCut = Task.isCancelled
    guard !isCut || uploader.pending.whenCancelled == .abort else {
      var settlement = PendingUploads.Settlement()
      settlement.left = uploader.pending.all.filter(\.entry.isOurs).map {
        .init(key: $0.key, uploadID: $0.entry.uploadID, reason: .resumable)
      }
      return report(settlement)
    }
    let isIncomplete = !outcome.summary.failures.isEmpty && !isCut
    // In a separate task, because a cancelled task cannot send requests.
    let work = Task(executorPreference: TaskThreads.current) {
      [mapping = settings.mapping, root, store, pending = uploader.pending] in
      await pending.settle(store, prefix: mapping.listingPrefix) { key in
        mapping.path(forKey: key) != nil
      } isResumable: { key in
        isIncomplete && mapping.path(forKey: key).map { root.stamp(ofFileAt: $0) != nil } ?? false
      }
    }
    report(await work.value)
  }

  private func report(_ settlement: PendingUploads.Settlement) {
    for (key, uploadID) in settlement.aborted {
      journal.aborted(uploadID, mirror: settings.name, key: key, because: .unfinished)
    }
    if let reason = settlement.unlisted {
      journal.notice(
        "\(settings.name): whether multipart uploads are left unfinished is not known "
          + "(s3:ListBucketMultipartUploads): \(reason)")
    }
    for left in settlement.left.prefix(Self.mostNamed) {
      let what = "\(settings.name): the multipart upload \(left.uploadID) of \(left.key) stays"
      switch left.reason {
      case .resumable: journal.notice("\(what) for the next run, which sends only the parts that it lacks")
      case .failed(let cause):
        journal.notice("\(what): \(cause); run again, or abort it by hand: its parts are billed until then")
      case .foreign where group != nil: break
      case .foreign: journal.notice("\(what): it may be another writer's. \(Self.remedy(uploader.settings))")
      }
    }
    let more = settlement.left.count - Self.mostNamed
    if more > 0 {
      journal.notice(
        "\(settings.name): \(more) more multipart uploads stay under \(settings.mapping.listingPrefix); "
          + "aws s3api list-multipart-uploads names them")
    }
  }

  /// How many uploads that stay are named in the log. The others are only counted.
  private static let mostNamed = 10

  private static func remedy(_ settings: UploadSettings) -> String {
    guard let age = settings.staleUploadAge else {
      return
        "If it is not, abort it by hand, or set an age for stale uploads: its parts are billed until then"
    }
    return "If it is not, abort it by hand; a run aborts it when no part has come for "
      + "\(age.inLargestUnit): its parts are billed until then"
  }
}

extension Duration {
  /// The duration in the largest unit of days, hours and seconds that gives a whole number.
  fileprivate var inLargestUnit: String {
    let seconds = components.seconds
    if seconds >= 86_400, seconds % 86_400 == 0 { return "\(seconds / 86_400) days" }
    if seconds >= 3_600, seconds % 3_600 == 0 { return "\(seconds / 3_600) hours" }
    return "\(seconds) s"
  }
}
