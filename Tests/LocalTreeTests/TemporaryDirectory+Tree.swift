import Foundation
import Glibc
import LocalTree
import SystemPackage
import TestSupport

extension TemporaryDirectory {
  func root() throws -> TreeRoot { try TreeRoot(path: FilePath(path)) }
  func fifo(_ name: String) throws { try call(mkfifo(self[name], 0o600)) }
  func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}

/// Throws errno's error for -1.
@discardableResult
func call(_ result: CInt) throws -> CInt {
  if result == -1 { throw Errno(rawValue: errno) }
  return result
}
