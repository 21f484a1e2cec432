import LocalTree
import MirrorModel

/// Whether a file's stamp would show the next write.
package enum StampTrust: Sendable, Hashable {
  case trusted
  /// So young that a further write could fall into the same step of the kernel's clock.
  case tooFresh
}

/// Which versions of a file may be published.
package enum PublishableVersions: Sendable, Hashable {
  /// Only the one that its name leads to when it has been read.
  case current
  /// Also one that has been replaced meanwhile, if it was whole: a file that is replaced, or written again, more often than it
  /// can be sent would never be published otherwise.
  case anyWhole
}

/// Whether bytes that were read are one whole version of a file: the proofs of PUB-2.
///
/// A writer is looked for before the read and after it, and the stamps must not have moved in between. A writer who
/// was there throughout shows in both probes; one who came and went in between moved the stamps, because the
/// first write(2), or the first store to a clean mapped page, does. On filesystems in memory mapped stores do not, so
/// there a vigil notes his close, or holds the content
/// against what was read. The probes come before the last stamp, so that what a writer did before it was
/// last seen absent is in that stamp; and the vigil is asked last.
package struct PublicationCheck: Sendable {
  package enum Verdict: Sendable, Hashable {
    case proved(PublicationProof)
    /// The stamps moved, or another file lies under the name now.
    case changed
    /// Somebody has the file open for writing.
    case writerPresent
    /// The kernel cannot tell (not the owner, or a filesystem without leases): only reading twice can.
    case untold
  }

  private let root: TreeRoot
  private let path: RelativePath
  private let file: LocalFile
  private let isCloseSeen: Bool
  private let stamps: StampTrust
  private let vigil: WriterVigil
  private let before: WriterProbe

  /// Looks for writers before the first byte is read.
  ///
  /// - Parameters:
  ///   - isCloseSeen: whether the watch saw the last write being closed.
  ///   - stamps: whether the file's stamp is old enough that a further write would move it.
  ///   - vigil: how it is noticed, where stamps do not tell, that a writer came and went; by content where `verdict` is
  ///     given the whole file.
  package init(
    root: TreeRoot, path: RelativePath, file: LocalFile, isCloseSeen: Bool, stamps: StampTrust,
    vigil: WriterVigil.Means = .closes
  ) {
    self.root = root
    self.path = path
    self.file = file
    self.isCloseSeen = isCloseSeen
    self.stamps = stamps
    self.vigil = file.keepVigil(by: vigil)
    before = file.probeWriters()
  }

  /// The verdict that the first probe lets expect: anything but `proved` will need a reread.
  package var outlook: Verdict { combined(with: before) }

  /// The verdict after the last byte was read.
  ///
  /// - Parameters:
  ///   - bytes: all that was read, where it is in memory.
  ///   - versions: whether a file that was replaced while it was read may be proved.
  package func verdict(on bytes: PartBuffer? = nil, of versions: PublishableVersions = .current)
    throws(TreeError) -> Verdict
  {
    let after = file.probeWriters()
    switch try standing() {
    case .current: break
    case .replaced where versions == .anyWhole: break
    case .replaced, .changed, .gone: return .changed
    }
    let seen = combined(with: after)
    guard case .proved = seen else { return seen }
    switch vigil.finding(for: bytes) {
    case .nobody: return seen
    case .somebody: return .changed
    case .unknown: return .untold
    }
  }

  /// What was learnt of writers, if, after the last byte was read, the file's stamp may stand for its content while this run lasts.
  /// Nil if it may not. Where the kernel cannot tell of writers, stamps are all there is.
  package func writersIfStampStandsForContent() throws(TreeError) -> StampedReading.Writers? {
    guard stamps == .trusted, vigil.isSpared else { return nil }
    switch try verdict() {
    case .proved: return .absent
    case .untold: return hasWriter ? nil : .untold
    case .changed, .writerPresent: return nil
    }
  }

  private func combined(with after: WriterProbe) -> Verdict {
    switch (before, after) {
    case (.present, _), (_, .present): .writerPresent
    case (.none, .none) where stamps == .trusted: .proved(isCloseSeen ? .closed : .leased)
    default: .untold
    }
  }

  /// Whether a writer was there before the read or is now. He may change the file without moving its stamp: a store to
  /// a mapped page that is dirty already does not.
  package var hasWriter: Bool { before == .present || file.probeWriters() == .present }

  package enum Standing: Sendable, Hashable {
    /// The name leads to this file, and its stamp has not moved.
    case current
    /// A rename has put another file in its place, and nothing was written to it before or since.
    case replaced
    case changed
    /// Nothing has the name.
    case gone
  }

  /// What became of the version that was opened. A file that a rename has replaced keeps its content, which only those can
  /// still change that have it open; whoever asks has looked for writers before.
  package func standing() throws(TreeError) -> Standing {
    guard let entry = try root.look(at: path) else { return .gone }
    if entry.stamp.isSameVersion(as: file.stamp) { return .current }
    let isOther = entry.stamp.inode != file.stamp.inode || entry.stamp.device != file.stamp.device
    guard isOther, entry.kind == .file, try file.isContentUnmoved() else { return .changed }
    return .replaced
  }

  /// Whether the name still leads to this file and its stamp has not moved. One look tells both: while the file is open
  /// no other has its inode.
  package func isSameVersion() throws(TreeError) -> Bool {
    try root.look(at: path)?.stamp.isSameVersion(as: file.stamp) ?? false
  }

  /// Whether two equal reads prove what was read: the file is the same version and has no writer now, or where appending
  /// is tolerated it is the same file with at least as many bytes.
  ///
  /// A file that only grows has an equal prefix in every reading, so growth shows that it is not whole. One that was replaced
  /// grows no more.
  package func confirmsReread(_ openFiles: OpenFilePolicy, of versions: PublishableVersions = .current)
    throws(TreeError) -> Bool
  {
    if versions == .anyWhole, !hasWriter, try standing() == .replaced { return true }
    switch openFiles {
    case .wait: return try isSameVersion() && !hasWriter
    case .append: return try isSameFileGrown()
    }
  }

  /// Whether the name still leads to this file and it has at least as many bytes: what a snapshot of a file that only grows
  /// needs besides its equal prefix.
  package func isSameFileGrown() throws(TreeError) -> Bool {
    guard let entry = try root.look(at: path), entry.stamp.inode == file.stamp.inode,
      entry.stamp.device == file.stamp.device
    else { return false }
    return try file.currentStamp().size >= file.stamp.size
  }

  /// What kept a reading from being of one version, for people.
  package enum Change: String, Sendable, Hashable, CustomStringConvertible {
    case written = "it was written to in place"
    case resized = "its size changed"
    case touched = "its attributes changed"
    case replaced = "another file took its name, and it was written to"
    case gone = "its name came and went"
    /// Somebody came and went without a trace in its stamp.
    case unseen = "it was written to through a mapping"

    package var description: String { rawValue }
  }

  /// What has changed about the file since its reading began.
  package var change: Change {
    do {
      guard let entry = try root.look(at: path) else { return .gone }
      guard entry.stamp.inode == file.stamp.inode, entry.stamp.device == file.stamp.device else {
        return .replaced
      }
      if entry.stamp.size != file.stamp.size { return .resized }
      if entry.stamp.modified != file.stamp.modified { return .written }
      return entry.stamp.changed == file.stamp.changed ? .unseen : .touched
    } catch {
      // It may not be looked at any more: the next reading fails with that.
      return .touched
    }
  }
}
