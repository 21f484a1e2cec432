import Foundation
import Glibc
import Synchronization

/// A directory on the real filesystem, removed with its last owner.
package final class TemporaryDirectory: Sendable {
  package let path: String

  /// - Parameter parent: the directory to make it in; the system's temporary directory if nil.
  package init(in parent: String? = nil) throws {
    let parent = parent ?? FileManager.default.temporaryDirectory.path
    path = parent + "/s3mirror-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      // A directory that a test left without permissions stays below the system's temporary directory.
    }
  }

  package subscript(_ name: String) -> String { path + "/" + name }

  /// Writes a file in one go, closes it, and makes its directories.
  package func write(_ name: String, _ text: String = "") throws {
    try DiskFiles().write(self[name], text)
  }

  package func makeDirectory(_ name: String) throws {
    try FileManager.default.createDirectory(atPath: self[name], withIntermediateDirectories: true)
  }

  package func text(_ name: String) throws -> String {
    try String(contentsOfFile: self[name], encoding: .utf8)
  }

  package func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: self[name]) }

  package func rename(_ name: String, to other: String) throws {
    try FileManager.default.moveItem(atPath: self[name], toPath: self[other])
  }

  package func link(_ name: String, to target: String) throws {
    try FileManager.default.createSymbolicLink(atPath: self[name], withDestinationPath: target)
  }

  package func exists(_ name: String) -> Bool {
    var status = stat()
    return lstat(self[name], &status) == 0
  }

  /// Every file, directory and link below, sorted.
  package func everything() -> [String] {
    (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).sorted()
  }
}
