import Foundation
import Glibc
import LocalTree
import MirrorModel
import SystemPackage
import Testing

/// A directory for one test, on the real filesystem, removed with its last owner.
final class TemporaryTree: Sendable {
  let path: String

  /// - Parameter parent: the directory to make it in; the system's temporary directory if nil.
  init(in parent: String? = nil) throws {
    let parent = parent ?? FileManager.default.temporaryDirectory.path
    path = parent + "/s3mirror-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit {
    do { try FileManager.default.removeItem(atPath: path) } catch { Issue.record(error) }
  }

  func root() throws -> TreeRoot { try TreeRoot(path: FilePath(path)) }

  subscript(_ name: String) -> String { path + "/" + name }

  /// Writes a file and makes its directories.
  func write(_ name: String, _ text: String = "") throws {
    try directory(RelativePath(name).parent.string)
    try Data(text.utf8).write(to: URL(fileURLWithPath: self[name]))
  }

  func directory(_ name: String) throws {
    try FileManager.default.createDirectory(atPath: self[name], withIntermediateDirectories: true)
  }

  func link(_ name: String, to target: String) throws { try call(symlink(target, self[name])) }
  func fifo(_ name: String) throws { try call(mkfifo(self[name], 0o600)) }
  func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: self[name]) }
  func text(_ name: String) throws -> String { try String(contentsOfFile: self[name], encoding: .utf8) }
  func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}

/// Throws errno's error for -1.
@discardableResult
func call(_ result: CInt) throws -> CInt {
  if result == -1 { throw Errno(rawValue: errno) }
  return result
}
