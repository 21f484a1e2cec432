/// Which names every file had and which versions it held, from moment to moment: the replay of a journal.
struct NameHistory {
  /// A file, directory or link of the replayed tree.
  private final class Node {
    enum Kind { case file, directory, link }

    let kind: Kind
    var children: [[UInt8]: Node] = [:]
    var names: [Name] = []
    var versions: [Version] = []

    init(_ kind: Kind) { self.kind = kind }

    /// A version may be there from the moment that somebody begins to write it until whoever writes the next one has
    /// ended, which is sure when the one after that begins.
    func moments(ofVersionAt index: Int) -> ClosedRange<UInt64> {
      let begin = versions[index].begin
      return begin...(versions.indices.contains(index + 2) ? versions[index + 2].begin : .max)
    }

    func hadName(_ path: [UInt8], in moments: ClosedRange<UInt64>) -> Bool {
      names.contains { $0.path == path && ($0.from...$0.until).overlaps(moments) }
    }
  }

  private struct Name {
    var path: [UInt8]
    var from: UInt64
    var until = UInt64.max

    /// 10 ms: how long a thread may have to wait for a processor that writers keep busy.
    var isFleeting: Bool { until != .max && until - from < 10_000_000 }
  }

  private struct Version {
    var number: UInt64
    var begin: UInt64
    /// The name that its writer opened; nil for a file that had none.
    var writtenUnder: [UInt8]?
  }

  private struct Session {
    var file: Node
    var path: [UInt8]?
  }

  private let root = Node(.directory)
  private var open: [NameChange.Session: Session] = [:]
  private var nodes: [UInt64: Node] = [:]
  /// Every file that ever had a path.
  private var holders: [[UInt8]: [Node]] = [:]
  /// Where the records contradict one another: the replay is worth nothing then.
  private(set) var contradictions: [String] = []

  /// - Parameter directories: those that were there at the beginning.
  init(_ records: [NameJournal.Record], directories: [String] = ["tree", "outside"]) {
    for name in directories { root.children[Array(name.utf8)] = Node(.directory) }
    for record in records {
      if !replay(record.change, at: record.nanoseconds) { contradictions.append("\(record)") }
    }
  }

  // MARK: Questions

  /// Why an object under a path could not hold this at some moment until now; nil when it could.
  func objection(to verdict: SelfDescribingContent.Verdict, at path: String, until now: UInt64) -> String? {
    let path = Array(path.utf8)
    switch verdict {
    case .empty:
      let isKnown = holders[path, default: []].contains { $0.hadName(path, in: 0...now) }
      return isKnown ? nil : "no file ever had this name"
    case .whole(let version), .unfinished(let version):
      return objection(to: version, at: path, until: now)
    case .overwriting(let newer, let older):
      if older != 0, nodes[newer] !== nodes[older] { return "\(newer) and \(older) are two files' versions" }
      return objection(to: newer, at: path, until: now)
    case .torn:
      return "no file ever held this"
    }
  }

  private func objection(to version: UInt64, at path: [UInt8], until now: UInt64) -> String? {
    guard let node = nodes[version], let index = node.versions.firstIndex(where: { $0.number == version })
    else { return "nobody wrote version \(version)" }
    let moments = node.moments(ofVersionAt: index)
    guard moments.lowerBound <= now else { return "version \(version) was not written yet" }
    if node.hadName(path, in: moments.lowerBound...min(moments.upperBound, now)) { return nil }
    let names = node.names.filter { ($0.from...$0.until).overlaps(moments) }
      .map { String(decoding: $0.path, as: UTF8.self) }
    return "version \(version) was only ever in \(names)"
  }

  /// Whether a file of this name was written under another name whose events the mirror does not see: one outside of the tree, or one that was
  /// gone before the watch could look whose it was.
  func wasWrittenUnseen(fileAt path: String) -> Bool {
    let path = Array(path.utf8)
    return holders[path, default: []].contains { file in
      file.names.contains { name in
        name.path != path && (!name.path.starts(with: Array("tree/".utf8)) || name.isFleeting)
          && file.versions.contains {
            $0.writtenUnder == name.path && (name.from...name.until).contains($0.begin)
          }
      }
    }
  }

  /// The names and versions of the last files that had this name.
  func lives(ofFilesAt path: String) -> String {
    func text(_ path: [UInt8]?) -> String { path.map { String(decoding: $0, as: UTF8.self) } ?? "no name" }
    let time = NameJournal.milliseconds(of:)
    let lives = holders[Array(path.utf8), default: []].suffix(4).map { file in
      let names = file.names.map { "\(text($0.path)) \(time($0.from))…\(time($0.until))" }
      let versions = file.versions.map { "\($0.number) \(time($0.begin)) under \(text($0.writtenUnder))" }
      return "names \(names.joined(separator: ", ")); versions \(versions.joined(separator: ", "))"
    }
    return lives.isEmpty ? "no file" : lives.joined(separator: "\n  ")
  }

  /// The last version of every file below a directory; nil for a file that no process wrote.
  func files(below directory: String) -> [[UInt8]: UInt64?] {
    var found: [[UInt8]: UInt64?] = [:]
    guard let top = root.children[Array(directory.utf8)] else { return [:] }
    forEachFile(below: top, at: []) { found[$1] = .some($0.versions.last?.number) }
    return found
  }

  // MARK: Replay

  /// Whether the tree, as it was before, allows the change.
  private mutating func replay(_ change: NameChange, at now: UInt64) -> Bool {
    switch change {
    case .opened(let path, let session):
      let node = node(at: path) ?? Node(.file)
      guard node.kind == .file else { return false }
      open[session] = Session(file: node, path: path)
      return node.names.contains { $0.until == .max && $0.path == path } || attach(node, at: path, now)
    case .openedUnnamed(let session):
      open[session] = Session(file: Node(.file))
      return true
    case .writes(let version, let session):
      guard let session = open[session] else { return false }
      session.file.versions.append(Version(number: version, begin: now, writtenUnder: session.path))
      nodes[version] = session.file
      return true
    case .named(let path, let session):
      guard let session = open[session] else { return false }
      return attach(session.file, at: path, now)
    case .madeDirectory(let path): return attach(Node(.directory), at: path, now)
    case .madeFile(let path): return attach(Node(.file), at: path, now)
    case .madeLink(let path): return attach(Node(.link), at: path, now)
    case .linked(let path, let other):
      guard let node = node(at: path) else { return false }
      return attach(node, at: other, now)
    case .renamed(let path, let other):
      guard let node = node(at: path) else { return false }
      let replaced = self.node(at: other)
      // Two names of one file: rename(2) does nothing and succeeds.
      if replaced === node { return true }
      return (replaced == nil || detach(other, now)) && detach(path, now) && attach(node, at: other, now)
    case .exchanged(let path, let other):
      guard let one = node(at: path), let two = node(at: other) else { return false }
      if one === two { return true }
      return detach(path, now) && detach(other, now) && attach(one, at: other, now)
        && attach(two, at: path, now)
    case .removed(let path): return detach(path, now)
    }
  }

  private func node(at path: [UInt8]) -> Node? {
    path.split(separator: 0x2F).reduce(root as Node?) { $0?.children[Array($1)] }
  }

  private func parent(of path: [UInt8]) -> (Node, name: [UInt8])? {
    let names = path.split(separator: 0x2F)
    guard let last = names.last,
      let parent = names.dropLast().reduce(root as Node?, { $0?.children[Array($1)] })
    else { return nil }
    return (parent, Array(last))
  }

  private mutating func attach(_ node: Node, at path: [UInt8], _ now: UInt64) -> Bool {
    guard let (parent, name) = parent(of: path), parent.kind == .directory, parent.children[name] == nil
    else { return false }
    parent.children[name] = node
    forEachFile(below: node, at: path) { file, path in
      file.names.append(Name(path: path, from: now))
      if !holders[path, default: []].contains(where: { $0 === file }) {
        holders[path, default: []].append(file)
      }
    }
    return true
  }

  private func detach(_ path: [UInt8], _ now: UInt64) -> Bool {
    guard let (parent, name) = parent(of: path), let node = parent.children.removeValue(forKey: name) else {
      return false
    }
    forEachFile(below: node, at: path) { file, path in
      for index in file.names.indices where file.names[index].until == .max && file.names[index].path == path
      {
        file.names[index].until = now
      }
    }
    return true
  }

  private func forEachFile(below node: Node, at path: [UInt8], _ body: (Node, [UInt8]) -> Void) {
    switch node.kind {
    case .file: body(node, path)
    case .link: break
    case .directory:
      for (name, child) in node.children {
        forEachFile(below: child, at: path.isEmpty ? name : path + [0x2F] + name, body)
      }
    }
  }
}
