import Glibc

// What a writer does to names: renames, directories, removals.
extension TreeWriter {
  func flat(_ path: String) -> String { String(path.map { $0 == "/" ? "_" : $0 }) }

  /// As `ln -f`: in another file's place too.
  func link(_ path: String, to other: String) -> Bool {
    if names.link(path, to: other) { return true }
    guard path != other, isFile(path), isFile(other), names.unlink(other) else { return false }
    return names.link(path, to: other)
  }

  /// In another file's place too.
  func makeNode(_ path: String) -> Bool {
    names.makeNode(path) || isFile(path) && names.unlink(path) && names.makeNode(path)
  }

  func isFile(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  func makeDirectories(_ path: String) -> Bool {
    var made = root
    var isAnyNew = false
    for name in path.dropFirst(root.count + 1).split(separator: "/") {
      made += "/" + name
      if names.makeDirectory(made) { isAnyNew = true }
    }
    return isAnyNew
  }

  func burst(_ path: String, files: Int) -> Bool {
    _ = makeDirectories(path)
    var isAnyWritten = false
    for index in 0..<files {
      guard let descriptor = names.open("\(path)/b\(index)") else { continue }
      let content = version(100, on: descriptor)
      ftruncate(descriptor, 0)
      put(content, to: descriptor, pieces: 1, pause: 0)
      close(descriptor)
      isAnyWritten = true
    }
    return isAnyWritten
  }

  /// Below a directory that was moved out, or to a file that was, or to a new one beside them.
  func writeOutside(_ path: String, _ name: String, bytes: Int) -> Bool {
    var status = stat()
    let isDirectory = lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    return write(isDirectory ? path + "/" + name : path, bytes, .inPlace, pieces: 1, pause: 0)
  }

  func removeTree(_ path: String) -> Bool {
    guard let directory = opendir(path) else { return false }
    var found: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { buffer in
        String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { found.append(name) }
    }
    closedir(directory)
    for name in found {
      var status = stat()
      guard lstat(path + "/" + name, &status) == 0 else { continue }
      if status.st_mode & S_IFMT == S_IFDIR {
        _ = removeTree(path + "/" + name)
      } else {
        _ = names.unlink(path + "/" + name)
      }
    }
    return names.removeDirectory(path)
  }

  func deepTree(_ path: String) -> Bool {
    let bottom = path + String(repeating: "/d", count: 20)
    _ = makeDirectories(bottom)
    return write(bottom + "/f", 200, .inPlace, pieces: 1, pause: 0)
  }

  func fileToDirectory(_ path: String) -> Bool {
    guard names.unlink(path), names.makeDirectory(path) else { return false }
    return write(path + "/n0", 300, .inPlace, pieces: 1, pause: 0)
  }
}

/// Names that are not UTF-8, and so no Swift strings: the name that was, and the byte 0xFF.
enum HiddenNames {
  static func hidden(_ path: String) -> [UInt8] { Array(path.utf8) + [0xFF] }

  /// Gives everything below a directory a name again that can be a key.
  static func reveal(below directory: String, by calls: NameCalls) {
    reveal(below: Array(directory.utf8), by: calls)
  }

  private static func reveal(below directory: [UInt8], by calls: NameCalls) {
    for name in names(in: directory) {
      var path = directory + [0x2F] + name
      if name.last == 0xFF {
        let revealed = path.dropLast() + Array("-revealed".utf8)
        _ = calls.rename(path, to: Array(revealed))
        path = Array(revealed)
      }
      reveal(below: path, by: calls)
    }
  }

  /// None where the path is no directory.
  private static func names(in directory: [UInt8]) -> [[UInt8]] {
    let descriptor = open(
      (directory + [0]).map(CChar.init(bitPattern:)), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0, let stream = fdopendir(descriptor) else { return [] }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name != Array(".".utf8) && name != Array("..".utf8) { names.append(name) }
    }
    return names
  }
}
