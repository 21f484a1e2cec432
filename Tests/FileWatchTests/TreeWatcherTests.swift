import FileWatch
import Foundation
import MirrorModel
import SystemPackage
import TestSupport
import Testing

@Suite struct `the tree watcher` {
  @Test func `a written file is created, modified and closed`() async throws {
    try await withWatcher { tree, watcher, log in
      try tree.write("x")
      await watcher.fence()
      #expect(log.take() == ["created x", "modified x", "closed x"])
    }
  }

  @Test func `files that lie there at the start are not told of, their changes are`() async throws {
    try await withWatcher(prepare: { tree in
      try tree.makeDirectory("a")
      try tree.write("a/x")
    }) { tree, watcher, log in
      await watcher.fence()
      #expect(log.take() == [])
      #expect(await watcher.watchCount == 2)
      try tree.write("a/x", "longer")
      await watcher.fence()
      #expect(log.take() == ["modified a/x", "closed a/x"])
    }
  }

  @Test func `files made before the new directory is watched are found`() async throws {
    try await withWatcher { tree, watcher, log in
      for path in ["a", "a/b", "a/b/c", "a/b/c/d"] { try tree.makeDirectory(path) }
      try tree.write("a/b/c/d/x")
      await watcher.fence()
      let events = log.take()
      for path in ["a", "a/b", "a/b/c", "a/b/c/d"] { #expect(events.contains("directoryAppeared \(path)")) }
      #expect(events.contains("found a/b/c/d/x") || events.contains("closed a/b/c/d/x"))
      #expect(await watcher.watchCount == 5)
      try tree.write("a/b/c/d/y")
      await watcher.fence()
      #expect(log.take() == ["created a/b/c/d/y", "modified a/b/c/d/y", "closed a/b/c/d/y"])
    }
  }

  @Test func `renames within the tree are paired`() async throws {
    try await withWatcher(prepare: { tree in
      try tree.makeDirectory("a")
      try tree.write("x")
      try tree.write("y")
    }) { tree, watcher, log in
      try tree.move("x", "a/x")
      try tree.move("y", "a/x")
      await watcher.fence()
      #expect(log.take() == ["renamed x a/x", "renamed y a/x"])
    }
  }

  @Test func `a file moved out is deleted, one moved in is found`() async throws {
    try await withWatcher(prepare: { tree in
      try tree.write("x")
      try tree.write("^y")
    }) { tree, watcher, log in
      try tree.move("x", "^x")
      try tree.move("^y", "y")
      await watcher.fence()
      #expect(Set(log.take()) == ["deleted x", "found y"])
    }
  }

  @Test func `a renamed directory brings its files along and stays watched`() async throws {
    try await withWatcher(prepare: { tree in
      for path in ["a", "a/b"] { try tree.makeDirectory(path) }
      for path in ["a/x", "a/b/y"] { try tree.write(path) }
    }) { tree, watcher, log in
      try tree.move("a", "c")
      await watcher.fence()
      let events = log.take()
      #expect(events.first == "directoryRenamed a c")
      #expect(Set(events.dropFirst()) == ["renamed a/x c/x", "renamed a/b/y c/b/y"])
      #expect(await watcher.watchCount == 3)
      try tree.write("c/b/y", "new")
      await watcher.fence()
      #expect(log.take() == ["modified c/b/y", "closed c/b/y"])
    }
  }

  @Test func `a directory that is renamed on before it is visited keeps its files`() async throws {
    try await withWatcher(prepare: { tree in
      try tree.makeDirectory("a")
      try tree.write("a/x")
    }) { tree, watcher, log in
      for (old, new) in [("a", "b"), ("b", "c"), ("c", "d")] { try tree.move(old, new) }
      await watcher.fence()
      let events = log.take()
      #expect(events.contains("directoryRenamed a b"))
      #expect(events.contains("renamed c/x d/x"))
      #expect(await watcher.watchCount == 2)
    }
  }

  @Test func `two directories that are exchanged are both told of`() async throws {
    try await withWatcher(prepare: { tree in
      for path in ["a", "b"] {
        try tree.makeDirectory(path)
        try tree.write("\(path)/in-\(path)")
      }
    }) { tree, watcher, log in
      #expect(exchangeNames(tree.path("a"), tree.path("b")) == 0)
      await watcher.fence()
      let files = changedFiles(log.all)
      #expect(files.isSuperset(of: ["a/in-b", "b/in-a"]))
      #expect(await watcher.watchCount == 3)
      _ = log.take()
      try tree.write("a/new")
      try tree.write("b/new")
      await watcher.fence()
      #expect(log.take().filter { $0.hasPrefix("closed") } == ["closed a/new", "closed b/new"])
    }
  }

  @Test func `two files that are exchanged are both told of`() async throws {
    try await withWatcher(prepare: { tree in
      for path in ["x", "y"] { try tree.write(path, path) }
    }) { tree, watcher, log in
      #expect(exchangeNames(tree.path("x"), tree.path("y")) == 0)
      await watcher.fence()
      #expect(changedFiles(log.all) == ["x", "y"])
    }
  }

  @Test func `a directory moved out is forgotten, with its watches`() async throws {
    try await withWatcher(prepare: { tree in
      for path in ["a", "a/b"] { try tree.makeDirectory(path) }
      try tree.write("a/b/x")
    }) { tree, watcher, log in
      try tree.move("a", "^a")
      await watcher.fence()
      #expect(log.take() == ["directoryMovedAway a"])
      #expect(await watcher.watchCount == 1)
      try tree.write("^a/b/x")
      await watcher.fence()
      #expect(log.take() == [])
    }
  }

  @Test func `a directory moved in is visited`() async throws {
    try await withWatcher(prepare: { tree in
      for path in ["^a", "^a/b"] { try tree.makeDirectory(path) }
      try tree.write("^a/b/x")
    }) { tree, watcher, log in
      try tree.move("^a", "a")
      await watcher.fence()
      #expect(log.take() == ["directoryAppeared a", "directoryAppeared a/b", "found a/b/x"])
    }
  }

  @Test func `a directory is replaced by a file and comes back`() async throws {
    try await withWatcher(prepare: { tree in try tree.makeDirectory("a") }) { tree, watcher, log in
      try tree.removeDirectory("a")
      try tree.write("a")
      await watcher.fence()
      #expect(log.take() == ["directoryDeleted a", "created a", "modified a", "closed a"])
      try tree.delete("a")
      try tree.makeDirectory("a")
      try tree.write("a/x")
      await watcher.fence()
      let events = log.take()
      #expect(events.first == "deleted a")
      #expect(events.contains("directoryAppeared a"))
      #expect(events.contains("found a/x") || events.contains("closed a/x"))
      #expect(await watcher.watchCount == 2)
    }
  }

  @Test func `links are told of and not descended into`() async throws {
    try await withWatcher(prepare: { tree in try tree.makeDirectory("^real") }) { tree, watcher, log in
      try tree.link(tree.path("^real"), as: "link")
      try tree.write("^real/x")
      await watcher.fence()
      #expect(log.take() == ["created link"])
      #expect(await watcher.watchCount == 1)
    }
  }

  @Test func `a hard link is told of by its creation`() async throws {
    try await withWatcher(prepare: { tree in try tree.write("^x") }) { tree, watcher, log in
      #expect(link(tree.path("^x"), tree.path("x")) == 0)
      await watcher.fence()
      #expect(log.take() == ["created x"])
    }
  }

  @Test func `a deleted file that is still open does not speak for its successor`() async throws {
    try await withWatcher { tree, watcher, log in
      let old = open(tree.path("x"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
      try tree.delete("x")
      let new = open(tree.path("x"), O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
      #expect(write(old, "late", 4) == 4)
      close(old)
      await watcher.fence()
      #expect(log.take() == ["created x", "deleted x", "created x"])
      close(new)
      await watcher.fence()
      #expect(log.take() == ["closed x"])
    }
  }

  @Test func `what is excluded is not watched`() async throws {
    let configuration = TreeWatcher.Configuration { path, kind in
      kind == .directory ? path.name == "skip" : path.string.hasSuffix(".tmp")
    }
    try await withWatcher(configuration, prepare: { tree in try tree.makeDirectory("skip") }) {
      tree, watcher, log in
      try tree.write("skip/x")
      try tree.write("x.tmp")
      try tree.makeDirectory("a")
      try tree.makeDirectory("a/skip")
      await watcher.fence()
      #expect(log.take() == ["directoryAppeared a"])
      #expect(await watcher.watchCount == 2)
      try tree.move("x.tmp", "x")
      try tree.move("skip", "kept")
      await watcher.fence()
      #expect(log.take() == ["found x", "directoryAppeared kept", "found kept/x"])
      try tree.move("kept", "a/skip")
      await watcher.fence()
      #expect(log.take() == ["directoryMovedAway kept"])
    }
  }

  @Test func `names that are not UTF-8 are given out as text`() async throws {
    try await withWatcher { tree, watcher, log in
      let path: [CChar] = Array(tree.root.utf8CString.dropLast()) + [0x2F, CChar(bitPattern: 0xFF), 0]
      close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644))
      await watcher.fence()
      #expect(Set(log.take()) == ["undecodable \\xff"])
    }
  }

  @Test func `spellings of one name are two directories`() async throws {
    try await withWatcher { tree, watcher, log in
      for name in ["\u{E9}", "e\u{301}"] {
        try tree.makeDirectory(name)
        await watcher.fence()
        try tree.write("\(name)/x")
      }
      await watcher.fence()
      #expect(await watcher.watchCount == 3)
      #expect(changedFiles(log.all) == ["\u{E9}/x", "e\u{301}/x"])
    }
  }

  @Test func `a tree deeper than a path may be long is watched`() async throws {
    try await withWatcher { tree, watcher, log in
      let name = String(repeating: "d", count: 100)
      // 60 levels of 100 bytes are more than PATH_MAX (4,096) and more than are held open at once.
      var descriptor = open(tree.root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      for _ in 0..<60 {
        #expect(mkdirat(descriptor, name, 0o755) == 0)
        let next = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        close(descriptor)
        descriptor = next
      }
      await watcher.fence()
      #expect(await watcher.watchCount == 61)
      _ = log.take()
      close(openat(descriptor, "x", O_WRONLY | O_CREAT | O_CLOEXEC, 0o644))
      close(descriptor)
      await watcher.fence()
      #expect(log.take().last?.hasSuffix("/x") == true)
    }
  }
}
