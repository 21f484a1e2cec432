/// How many objects one batch of deletes may take before it is withheld.
package enum DeleteBound: Sendable, Hashable {
  /// Withheld (DEL-6) when the deletes exceed both half of the objects under the prefix and 10 objects.
  case standard
  /// At most this many.
  case limit(Int)
  case unlimited
}

/// The rule that keeps a wrong picture of the local side from wiping the remote one.
package enum DeleteGuard {
  package enum Verdict: Sendable, Hashable {
    case allowed
    case withheld(WithheldReason)
  }

  /// What is deleted, by the word that a message has for it.
  package enum Kind: String, Sendable, Hashable {
    case objects
    /// Local ones.
    case files
  }

  /// - Parameters:
  ///   - deletes: how many objects, or local files, the batch would remove.
  ///   - count: how many of them there are before the batch.
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

/// Why what looks superfluous was left: objects on S3, or with a download's `delete` local files.
package enum WithheldReason: Sendable, Hashable {
  case overBound(deletes: Int, of: Int, DeleteGuard.Kind = .objects)
  /// The root is missing, replaced, unmounted or cannot be read.
  case rootUnavailable
  case rootEmpty
  /// The root was empty or absent at entry while the prefix was not.
  case rootEmptyAtEntry
  /// A part of the tree or of the listing could not be seen in full.
  case unseen(RelativePath)
  /// At this place another filesystem is mounted than when the files below it were published, or none is.
  case remounted(RelativePath)
  /// The local file is no longer the one that was compared.
  case rewritten
  /// The server may keep this local file's object under the key: some write a backslash as a slash.
  case alias(of: RelativePath)
  /// The object is no longer the one that was published here or listed: somebody else wrote it.
  case replaced
  /// Another writer put the object there since the mirror began (DEL-18).
  case foreign
  /// The object of a directory's key has content: no directory marker, and not written here.
  case markerWithContent
  /// Uploads come before deletes, and some failed: an object may be the last copy of what was renamed.
  case uploadsFailed
  /// Nothing failed, but some files could not be published whole; what was renamed or is named by an old marker stays.
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
    case .replaced: "another program has written the object since it was published or listed"
    case .foreign:
      "another writer put it there since this mirror began, and only that writer may delete it; give each writer a prefix of its own"
    case .markerWithContent:
      "the object has content, so it is no directory's marker, and another program wrote it; delete it by hand"
    case .uploadsFailed: "some uploads failed, and deletes come after them"
    case .uploadsWait:
      "some files are not published, for they are open or keep changing, and deletes come after them"
    case .alias(let path): "it may be the object of \(path), whose own key is not listed"
    }
  }
}
