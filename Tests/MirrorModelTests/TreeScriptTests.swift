import MirrorModel
import TestSupport
import Testing

/// What programs do to a tree, carried out on the model of it; LaneTests carry the same scripts out for real.
@Suite struct TreeScriptTests {
  @Test(arguments: TreeScript.all.filter { !$0.isOnlyReal })
  func `the model does what the script expects`(script: TreeScript) async throws {
    var run = ModelScriptRun(filter: try PathFilter(exclude: script.exclude))
    let differences = try await script.differences(on: &run)
    #expect(differences == [])
  }
}

private struct ModelScriptRun: ScriptedMirror {
  private struct Impossible: Error {
    var operation: TreeScript.Operation
  }

  private var mirror: ModelMirror
  /// By version.
  private var texts: [Int: String] = [:]
  /// Where the open files are now, by the names under which they were opened.
  private var opened: [String: RelativePath] = [:]
  private var requestsSeen = 0

  init(filter: PathFilter) {
    mirror = ModelMirror(filter: filter)
    mirror.finishPass()
  }

  mutating func carryOut(_ operation: TreeScript.Operation) throws {
    func perform(_ action: ModelMirror.Action) throws {
      let before = mirror.tree.records.count
      mirror.carryOut(action)
      if mirror.tree.records.count == before { throw Impossible(operation: operation) }
    }
    func text(of path: String) -> String {
      mirror.tree.file(at: RelativePath(path)).flatMap { texts[$0.version] } ?? ""
    }
    func makeDirectories(_ path: RelativePath) throws {
      for directory in ([path] + path.ancestors).reversed() where mirror.tree.node(at: directory) == nil {
        try perform(.makeDirectory(directory))
      }
    }
    func write(_ path: String, _ text: String, closing: Bool) throws {
      // Its writer would still be there, of which the model knows no more.
      let isOpen = mirror.tree.file(at: RelativePath(path))?.isOpen ?? false
      if isOpen && closing { throw Impossible(operation: operation) }
      try perform(.write(RelativePath(path), closing: closing))
      if let version = mirror.tree.file(at: RelativePath(path))?.version { texts[version] = text }
    }
    switch operation {
    case .write(let path, let text):
      try makeDirectories(RelativePath(path).parent)
      try write(path, text, closing: true)
    case .append(let path, let more):
      guard let file = mirror.tree.file(at: RelativePath(path)) else {
        throw Impossible(operation: operation)
      }
      try write(path, text(of: path) + more, closing: !file.isOpen)
    case .truncate(let path, let count):
      try write(path, String(text(of: path).prefix(count)), closing: true)
    case .open(let path, let text):
      try write(path, text, closing: false)
      opened[path] = RelativePath(path)
    case .close(let path): try perform(.close(opened.removeValue(forKey: path) ?? RelativePath(path)))
    case .makeDirectories(let path): try makeDirectories(RelativePath(path))
    case .rename(let from, let to):
      let (from, to) = (RelativePath(from), RelativePath(to))
      try perform(.rename(from, to))
      opened = opened.mapValues { $0.isWithin(from) ? $0.moved(from: from, to: to) : $0 }
    case .exchange(let one, let other): try perform(.exchange(RelativePath(one), RelativePath(other)))
    case .delete(let path), .deleteTree(let path): try perform(.remove(RelativePath(path)))
    case .moveIn(let path, let files):
      try perform(.moveIn(RelativePath(path), files: files.keys.sorted()))
      for (name, text) in files {
        if let file = mirror.tree.file(at: RelativePath(path).appending(name)) { texts[file.version] = text }
      }
    case .moveOut(let path): try perform(.moveAway(RelativePath(path)))
    case .touch(let path), .chmod(let path, _): try perform(.touch(RelativePath(path)))
    case .told: mirror.carryOut(.deliver(.max))
    case .link(let from, let to): try perform(.link(RelativePath(from), RelativePath(to)))
    // The model's mirror follows links, and this one skips them.
    case .symlink: throw Impossible(operation: operation)
    }
  }

  mutating func overflow(losing operations: [TreeScript.Operation]) throws {
    mirror.carryOut(.deliver(.max))
    for operation in operations { try carryOut(operation) }
    mirror.carryOut(.overflow)
  }

  mutating func carryOutUnread(_ operations: [TreeScript.Operation]) throws {
    mirror.carryOut(.deliver(.max))
    for operation in operations { try carryOut(operation) }
  }

  mutating func flush() -> [String] {
    mirror.carryOut(.begin(flush: true))
    mirror.finishPass()
    defer { requestsSeen = mirror.requests.count }
    return Array(mirror.requests[requestsSeen...])
  }

  mutating func end() { mirror.drain() }

  func objects() -> [String: String] {
    Dictionary(
      mirror.bucket.map { ($0.key.string, texts[$0.value.version] ?? "") }, uniquingKeysWith: { $1 })
  }
}
