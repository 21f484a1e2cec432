/// Why the bytes of a publication are known to be whole (PUB-2). The transfer log names it.
package enum PublicationProof: String, Sendable, Hashable, CaseIterable {
  /// The last write was closed (IN_CLOSE_WRITE), and nobody has the file open for writing now.
  case closed
  /// A read lease was granted as a probe: fcntl(2), F_SETLEASE, which is refused while a writer is there.
  case leased
  /// Two reads, at least `settle` apart, had equal checksums.
  case reread
}
