/// Why the bytes of a publication are known to be complete (PUB-2). The transfer log records it.
package enum PublicationProof: String, Sendable, Hashable, CaseIterable {
  /// The last write was closed (IN_CLOSE_WRITE), and no process has the file open for writing now.
  case closed
  /// The kernel granted a read lease (fcntl(2), F_SETLEASE). It refuses the lease while a process has the
  /// file open for writing.
  case leased
  /// Two reads, at least `settle` apart, had equal checksums.
  case reread
}
