import Foundation
import Glibc

/// The regular files of a tree as the test itself reads them, and the names that hold something else.
struct TreePicture {
  var files: [String: [UInt8]] = [:]
  /// Symbolic links: what was published under their names, and below, is nobody's business (SPEC 5: no absence).
  var links: Set<String> = []

  init(of root: String) throws {
    try read(root, "")
  }

  private mutating func read(_ root: String, _ relative: String) throws {
    for name in try FileManager.default.contentsOfDirectory(atPath: root + "/" + relative) {
      let path = relative.isEmpty ? name : relative + "/" + name
      var status = stat()
      guard lstat(root + "/" + path, &status) == 0 else { continue }
      switch status.st_mode & S_IFMT {
      case S_IFDIR: try read(root, path)
      case S_IFREG: files[path] = Array(try Data(contentsOf: URL(fileURLWithPath: root + "/" + path)))
      default: links.insert(path)
      }
    }
  }

  /// What differs from the objects of a bucket, a line each.
  func differences(from objects: [String: [UInt8]]) -> [String] {
    differencesByPath(from: objects).values.sorted()
  }

  func differencesByPath(from objects: [String: [UInt8]]) -> [String: String] {
    var lines: [String: String] = [:]
    for (path, bytes) in files {
      guard let object = objects[path] else {
        lines[path] = "missing \(path) (\(SelfDescribingContent.verdict(on: bytes)))"
        continue
      }
      if object != bytes {
        lines[path] =
          "different \(path): the file is \(SelfDescribingContent.verdict(on: bytes)), \(bytes.count) bytes; the object is \(SelfDescribingContent.verdict(on: object)), \(object.count) bytes"
      }
    }
    for path in objects.keys where files[path] == nil && !isBelowLink(path) { lines[path] = "extra \(path)" }
    return lines
  }

  private func isBelowLink(_ path: String) -> Bool {
    let names = path.split(separator: "/")
    return names.indices.contains { links.contains(names[...$0].joined(separator: "/")) }
  }
}
