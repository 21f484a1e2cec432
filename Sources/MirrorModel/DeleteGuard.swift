/// How many objects one batch of deletes may remove before the batch is withheld.
package enum DeleteBound: Sendable, Hashable {
  /// The batch is withheld (DEL-6) if it exceeds both half of the objects under the prefix and 10 objects.
  case standard
  /// The batch is withheld if it has more deletes than this.
  case limit(Int)
  case unlimited
}

/// The rule that keeps a wrong view of the local tree from emptying the remote.
package enum DeleteGuard {
  package enum Verdict: Sendable, Hashable {
    case allowed
    case withheld(WithheldReason)
  }

  /// What is deleted; messages use this word.
  package enum Kind: String, Sendable, Hashable {
    case objects
    /// Local files.
    case files
  }

  /// - Parameters:
  ///   - deletes: how many objects, or local files, the batch would remove.
  ///   - count: how many objects or files there are before the batch.
  package static func judge(
    deletes: Int, of count: Int, _ kind: Kind = .objects, bound: DeleteBound
  ) -> Verdict {
    let withheld = Verdict.withheld(.overBound(deletes: deletes, of: count, kind))
    switch bound {
    case .unlimited:
      return .allowed
    case .limit(let limit):
      return deletes <= limit ? .allowed : withheld
    case .standard:
      let exceedsHalf = deletes * 2 > count
      return exceedsHalf && deletes > 10 ? withheld : .allowed
    }
  }
}

/// Why objects on S3, or local files of a download with `delete`, were kept although they look superfluous.
package enum WithheldReason: Sendable, Hashable {
  case overBound(deletes: Int, of: Int, DeleteGuard.Kind = .objects)
  /// The root is missing, replaced, unmounted or cannot be read.
  case rootUnavailable
  case rootEmpty
  /// The root was empty or absent at entry while the prefix was not.
  case rootEmptyAtEntry
  /// A part of the tree or of the listing could not be read completely.
  case unseen(RelativePath)
  /// Another filesystem is mounted at this place than when the files below it were published, or no
  /// filesystem is mounted there.
  case remounted(RelativePath)
  /// The local file has changed since it was compared.
  case rewritten
  /// The file is data of a commit marker that could not be removed before.
  case namedBy(RelativePath)
  /// The object may belong to this local file: some servers store a backslash in a key as a slash.
  case alias(of: RelativePath)
  /// The object has changed since it was published here or listed: another program wrote it.
  case replaced
  /// Another writer put the object there since the mirror began (DEL-18).
  case foreign
  /// The object under a directory's key has content. So it is no directory marker, and this program did not
  /// write it.
  case markerWithContent
  /// Deletes come after uploads, and some uploads failed. The object may be the last copy of a renamed file.
  case uploadsFailed
  /// No upload failed, but some files could not be published completely. The objects of renamed files, and
  /// those that an old marker names, are kept.
  case uploadsWait
}

extension WithheldReason: CustomStringConvertible {
  package var description: String {
    switch self {
    case .overBound(let deletes, let count, let kind):
      "\(deletes) of \(count) \(kind.rawValue) would go, more than the bound; --max-delete N or none replaces it"
    case .rootUnavailable: "the local root is missing, was replaced or cannot be read"
    case .rootEmpty: "the local root is empty; --max-delete none deletes all the same"
    case .rootEmptyAtEntry: "the local root was empty or absent at entry while the prefix was not"
    case .unseen(let path): "\(path) could not be seen in full"
    case .remounted(let place):
      "at \(place) another filesystem is mounted than when its files were published, or none is: they are out of sight, not deleted; mount it again, or delete the objects yourself if they are to go"
    case .rewritten: "the local file was written since it was compared"
    case .namedBy(let marker): "the commit marker \(marker) stays, and it may name this file"
    case .replaced: "another program has written the object since it was published or listed"
    case .foreign:
      "another writer put it there since this mirror began, and only that writer may delete it; give each writer a prefix of its own, or make the hosts of one job a group with --group"
    case .markerWithContent:
      "the object has content, so it is no directory's marker, and another program wrote it; delete it by hand"
    case .uploadsFailed: "some uploads failed, and deletes come after them"
    case .uploadsWait:
      "some files are not published, for they are open or keep changing, and deletes come after them"
    case .alias(let path): "it may be the object of \(path), whose own key is not listed"
    }
  }
}
