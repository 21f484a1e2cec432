import LocalTree
import MirrorModel

/// Whether the next write would change a file's stamp.
package enum StampTrust: Sendable, Hashable {
  case trusted
  /// The stamp is so young that a further write could fall into the same step of the kernel's clock.
  case tooFresh
}

/// Which versions of a file may be published.
package enum PublishableVersions: Sendable, Hashable {
  /// Only the version that the name still leads to after the read.
  case current
  /// Also a version that was replaced in the meantime, if it was whole. Otherwise a file that is replaced or
  /// rewritten faster than it can be sent would never be published.
  case anyWhole
}

/// Decides whether the bytes of a read are one whole version of a file, by the proofs of PUB-2.
///
/// A probe looks for a writer before the read and after it, and the stamps must not change in between. If a
/// writer was there all the time, both probes find it. If a writer came and left in between, the stamps
/// changed, because the first write(2), or the first store to a clean mapped page, changes them. On
/// filesystems in memory, stores to mapped pages do not change the stamps. There a vigil notices the writer's
/// close, or compares the content with the read. The second probe comes before the last stamp, so that this
/// stamp includes every write of a writer that the probe no longer finds. The vigil is asked last.
package struct PublicationCheck: Sendable {
  package enum Verdict: Sendable, Hashable {
    case proved(PublicationProof)
    /// The stamps changed, or the name leads to another file now.
    case changed
    /// A process has the file open for writing.
    case writerPresent
    /// The kernel cannot answer (not the owner, or a filesystem without leases). Only two reads can prove the
    /// bytes.
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
  ///   - isCloseSeen: whether the watch reported the close of the last write.
  ///   - stamps: whether the file's stamp is so old that a further write would change it.
  ///   - vigil: how a writer that came and left is noticed if stamps do not show it. By content only if
  ///     `verdict` gets the whole file.
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

  /// The verdict to expect after the first probe. Any verdict other than `proved` will need a reread.
  package var outlook: Verdict { combined(with: before) }

  /// The verdict after the last byte was read.
  ///
  /// - Parameters:
  ///   - bytes: all bytes of the read, if they are in memory.
  ///   - versions: whether a file that was replaced during the read may be proved.
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

  /// Whether a writer was there before the read or is there now. A writer may change the file without a new
  /// stamp: a store to a mapped page that is already dirty does not change the stamp.
  package var hasWriter: Bool { before == .present || file.probeWriters() == .present }

  package enum Standing: Sendable, Hashable {
    /// The name leads to this file, and its stamp has not changed.
    case current
    /// A rename has put another file in its place, and the file was not written before or since.
    case replaced
    case changed
    /// The name does not exist.
    case gone
  }

  /// The state of the version that was opened. A file that a rename has replaced keeps its content; only
  /// processes that have it open can still change it. The caller has looked for writers before.
  package func standing() throws(TreeError) -> Standing {
    if root.leads(path, to: file) { return .current }
    guard let entry = try root.look(at: path) else { return .gone }
    if entry.stamp.isSameVersion(as: file.stamp) { return .current }
    let isOther = entry.stamp.inode != file.stamp.inode || entry.stamp.device != file.stamp.device
    guard isOther, entry.kind == .file, try file.isContentUnmoved() else { return .changed }
    return .replaced
  }

  /// Whether the name still leads to this file with the same stamp.
  package func isSameVersion() throws(TreeError) -> Bool { try standing() == .current }

  /// Whether two equal reads prove the bytes: the file is the same version and has no writer now; or, if
  /// appending is allowed, it is the same file with at least as many bytes.
  ///
  /// A file that only grows has an equal prefix in every read, so growth shows that it is not whole. A
  /// replaced file no longer grows.
  package func confirmsReread(_ openFiles: OpenFilePolicy, of versions: PublishableVersions = .current)
    throws(TreeError) -> Bool
  {
    if versions == .anyWhole, !hasWriter, try standing() == .replaced { return true }
    switch openFiles {
    case .wait: return try isSameVersion() && !hasWriter
    case .append: return try isSameFileGrown()
    }
  }

  /// Whether the name still leads to this file, with at least as many bytes. A snapshot of a file that only
  /// grows needs this besides its equal prefix.
  package func isSameFileGrown() throws(TreeError) -> Bool {
    guard let entry = try root.look(at: path), entry.stamp.inode == file.stamp.inode,
      entry.stamp.device == file.stamp.device
    else { return false }
    return try file.currentStamp().size >= file.stamp.size
  }

  /// Why a read was not of one version, as text for users.
  package enum Change: String, Sendable, Hashable, CustomStringConvertible {
    case written = "it was written to in place"
    case resized = "its size changed"
    case touched = "its attributes changed"
    case replaced = "another file took its name, and it was written to"
    case gone = "its name came and went"
    /// A writer came and left without a change of the stamp.
    case unseen = "it was written to through a mapping"

    package var description: String { rawValue }
  }

  /// How the file has changed since its read began.
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
      // The file may be inaccessible now. The next read fails with that error.
      return .touched
    }
  }
}
