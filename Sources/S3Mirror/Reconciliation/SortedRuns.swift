import MirrorModel

/// Sorts the entries of an unordered listing by key with bounded memory: an external merge sort.
///
/// Runs of `runLength` entries are sorted in memory and written to a scratch file. Then all runs are merged.
/// A million objects make 20 runs, and one block of 64 KiB of each run is in memory. A short listing stays in
/// memory.
struct SortedRuns {
  /// How many entries are sorted at a time: about 250 bytes each, so 12 MB.
  static let runLength = 50_000

  private let runLength: Int
  private var file: ScratchFile?
  private var runs: [[Range<Int64>]] = []
  private var run: [RemoteEntry] = []

  init(runLength: Int = Self.runLength) {
    self.runLength = runLength
  }

  mutating func append(_ entry: RemoteEntry) throws {
    run.append(entry)
    if run.count >= runLength { try flush() }
  }

  private mutating func flush() throws {
    let file = try file ?? ScratchFile()
    self.file = file
    runs.append(try file.append(blocksOf: sortedRun()))
    run = []
  }

  private func sortedRun() -> [RemoteEntry] {
    run.sorted { $0.path < $1.path }
  }

  /// Ends the adding. Returns all entries in order, each key once even if it was listed twice.
  consuming func merged() throws -> Merged {
    var sources: [Source] = [.memory(sortedRun()[...])]
    if let file {
      for blocks in runs { sources.append(.file(ScratchCursor(file, blocks: blocks))) }
    }
    return try Merged(sources)
  }

  fileprivate enum Source {
    case memory(ArraySlice<RemoteEntry>)
    case file(ScratchCursor<RemoteEntry>)

    mutating func next() throws -> RemoteEntry? {
      switch self {
      case .memory(var rest):
        defer { self = .memory(rest) }
        return rest.popFirst()
      case .file(var cursor):
        defer { self = .file(cursor) }
        return try cursor.next()
      }
    }
  }

  /// The merge of all runs: a binary heap of their first entries.
  struct Merged {
    private var sources: [Source]
    private var heap: [(entry: RemoteEntry, source: Int)] = []
    private var last: RelativePath?

    fileprivate init(_ sources: [Source]) throws {
      self.sources = sources
      for index in sources.indices {
        if let entry = try self.sources[index].next() { heap.append((entry, index)) }
      }
      for index in heap.indices.reversed() { sink(from: index) }
    }

    mutating func next() throws -> RemoteEntry? {
      while let (entry, source) = heap.first {
        if let following = try sources[source].next() {
          heap[0] = (following, source)
        } else {
          heap[0] = heap[heap.count - 1]
          heap.removeLast()
        }
        sink(from: 0)
        if entry.path == last { continue }
        last = entry.path
        return entry
      }
      return nil
    }

    private mutating func sink(from start: Int) {
      var parent = start
      while true {
        var least = parent
        for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
          if heap[child].entry.path < heap[least].entry.path { least = child }
        }
        if least == parent { return }
        heap.swapAt(parent, least)
        parent = least
      }
    }
  }
}
