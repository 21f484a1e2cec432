import Digests
import LocalTree
import LoopThread
import SystemPackage

/// Where the evidence of one upload is kept: two files in `$XDG_CACHE_HOME/s3mirror/evidence`, named by
/// remote, local root and machine.
struct EvidencePlace: Sendable {
  let directory: FilePath
  /// The layer: what earlier runs noted, in key order.
  let file: FilePath
  /// What was noted after the layer was written, in the order of time.
  let journal: FilePath
  let machine: String

  /// - Parameters:
  ///   - cache: `$XDG_CACHE_HOME/s3mirror`.
  ///   - bucket: the identity of endpoint and bucket.
  ///   - machine: distinguishes machines that share a home directory.
  init(
    cache: FilePath, bucket: String, prefix: String, local: FilePath,
    machine: String = EvidencePlace.thisMachine
  ) {
    directory = cache.appending("evidence")
    let parts = [bucket, prefix, local.string, machine]
    let name = String(hexadecimal(sha256(parts.joined(separator: "\0"))).prefix(32))
    file = directory.appending(name)
    journal = directory.appending(name + ".journal")
    self.machine = machine
  }

  /// `$XDG_CACHE_HOME/s3mirror`; without an absolute path in that variable `~/.cache/s3mirror` (XDG Base
  /// Directory Specification).
  static func cache(environment: [String: String], home: FilePath) -> FilePath {
    let named = environment["XDG_CACHE_HOME"].map { FilePath($0) }.flatMap { $0.isAbsolute ? $0 : nil }
    return (named ?? home.appending(".cache")).appending("s3mirror")
  }

  /// The host's name and machine-id(5). Containers of one image may share an ID, but their host names differ.
  static let thisMachine: String = ["/proc/sys/kernel/hostname", "/etc/machine-id"].map { file in
    let read = Result { try FileDescriptor.contents(ofFileAt: file) }
    guard case .success(let bytes) = read else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }.joined()
}
