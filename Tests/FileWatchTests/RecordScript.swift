import FileWatch
import MirrorModel

/// Runs a translation over records written as text, and writes its steps as text.
///
/// A line is `descriptor kind name #cookie`; a kind that ends in `/` is about a directory. `settle` says that the queue ran empty.
/// Visits place the next free descriptor, as the kernel would. The root has 1.
struct RecordScript {
  var translation: EventTranslation
  private var nextDescriptor: Int32 = 2

  init(isExcluded: @escaping @Sendable (RelativePath, EntryKind) -> Bool = { _, _ in false }) {
    translation = EventTranslation(isExcluded: isExcluded)
    translation.table.setDescriptor(1, of: WatchTable.root)
  }

  mutating func run(_ script: String) -> [String] {
    script.split(separator: "\n").flatMap { line in
      var steps: [TranslationStep] = []
      if line == "settle" {
        translation.settle(into: &steps)
      } else {
        translation.translate(Self.record(line), into: &steps)
      }
      return steps.compactMap { carryOut($0) }
    }
  }

  private static let kinds: [Substring: InotifyMask] = [
    "create": .create, "modify": .modify, "close": .closeWrite, "attrib": .attributes, "delete": .delete,
    "from": .movedFrom, "to": .movedTo, "deleteself": .deleteSelf, "moveself": .moveSelf,
    "ignored": .ignored, "unmount": .unmount, "overflow": .queueOverflow,
  ]

  private static func record(_ line: Substring) -> InotifyRecord {
    var words = line.split(separator: " ")
    guard let descriptor = Int32(words.removeFirst()) else { preconditionFailure("no descriptor: \(line)") }
    var kind = words.removeFirst()
    var mask: InotifyMask = []
    if kind.hasSuffix("/") {
      kind.removeLast()
      mask.insert(.isDirectory)
    }
    guard let bit = kinds[kind] else { preconditionFailure("no such kind: \(line)") }
    mask.insert(bit)
    var record = InotifyRecord(descriptor: descriptor, mask: mask)
    for word in words {
      if word.hasPrefix("#") {
        record.cookie = UInt32(word.dropFirst()) ?? 0
      } else {
        record.name = word == "?" ? .undecodable("\\xff") : .text(RelativePath(String(word)))
      }
    }
    return record
  }

  private mutating func carryOut(_ step: TranslationStep) -> String? {
    switch step {
    case .emit(let event):
      return event.text
    case .unwatch(let descriptors):
      return descriptors.isEmpty
        ? nil : "unwatch " + descriptors.sorted().map(String.init).joined(separator: " ")
    case .rewalk:
      translation.table = WatchTable()
      translation.table.setDescriptor(1, of: WatchTable.root)
      return "rewalk"
    case .recheck(let name, let parent):
      return "recheck \(translation.table.path(of: parent).appending(name.string))"
    case .visit(let name, let parent, let visit):
      let node = translation.table.attach(name, under: parent)
      if translation.table[node]?.descriptor == nil {
        translation.table.setDescriptor(nextDescriptor, of: node)
        nextDescriptor += 1
      }
      let path = translation.table.path(of: node)
      switch visit {
      case .initial: return "visit \(path)"
      case .appeared: return "visit \(path) appeared"
      case .surfaced: return "visit \(path) surfaced"
      case .renamed(let old): return "visit \(path) renamed \(old)"
      case .renamedUnseen(let old): return "visit \(path) unseen \(old)"
      case .recovered: return "visit \(path) recovered"
      }
    }
  }
}

extension WatchEvent {
  var text: String {
    switch self {
    case .created(let path): "created \(path)"
    case .linked(let path): "linked \(path)"
    case .modified(let path): "modified \(path)"
    case .closed(let path): "closed \(path)"
    case .attributes(let path): "attributes \(path)"
    case .deleted(let path): "deleted \(path)"
    case .renamed(let from, let to): "renamed \(from) \(to)"
    case .found(let path): "found \(path)"
    case .undecodable(let path): "undecodable \(path)"
    case .directoryAppeared(let path): "directoryAppeared \(path)"
    case .directoryDeleted(let path): "directoryDeleted \(path)"
    case .directoryRenamed(let from, let to): "directoryRenamed \(from) \(to)"
    case .directoryMovedAway(let path): "directoryMovedAway \(path)"
    case .rescan(let path, let reason): "rescan \(path) \(reason)"
    case .rootLost: "rootLost"
    }
  }
}
