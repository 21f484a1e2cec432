import LocalTree
import LoopThread
import MirrorModel
import Transfers

/// Multipart uploads that nobody will finish: parts that failed before their file was renamed or deleted, answers that were
/// lost, and what an earlier run left of files that are gone.
extension UploadLane {
  /// Ends what this run began and could not finish, and reports what may be another writer's.
  ///
  /// - Parameter outcome: of the last comparison: where something is not published, the parts of files that are there serve the
  ///   next run.
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
    // In a task of its own: the requests of a cancelled one could not be sent.
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

  /// Lines for uploads that stay; of more the number.
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
  /// In days, hours or seconds, whichever is whole.
  fileprivate var inLargestUnit: String {
    let seconds = components.seconds
    if seconds >= 86_400, seconds % 86_400 == 0 { return "\(seconds / 86_400) days" }
    if seconds >= 3_600, seconds % 3_600 == 0 { return "\(seconds / 3_600) hours" }
    return "\(seconds) s"
  }
}
