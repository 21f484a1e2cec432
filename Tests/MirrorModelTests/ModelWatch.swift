import MirrorModel

/// The watcher as the dirty set meets it: it knows a directory by the name that the last record gave it, and when it
/// lists one it sees the present, not the moment of the record.
struct ModelWatch {
  private var places: [ModelTree.ID: (parent: ModelTree.ID, name: String)] = [:]
  private var events: [WatchEvent] = []
  /// Where renames ended, as `RecentArrivals`.
  private var arrivals: [(directory: ModelTree.ID, name: String)] = []
  private let filter: PathFilter

  init(filter: PathFilter) { self.filter = filter }

  mutating func begin(_ tree: ModelTree) {
    places = [:]
    learn(ModelTree.root, tree)
  }

  mutating func takeEvents() -> [WatchEvent] {
    defer { events = [] }
    return events.compactMap(kept)
  }

  /// A file that comes from where the mirror does not look is met, and one that goes there is gone.
  private func kept(_ event: WatchEvent) -> WatchEvent? {
    switch event {
    case .created(let path), .linked(let path), .modified(let path), .closed(let path), .attributes(let path),
      .deleted(let path),
      .found(let path):
      return filter.excludes(path, .file) ? nil : event
    case .renamed(let from, let to):
      switch (filter.excludes(from, .file), filter.excludes(to, .file)) {
      case (false, false): return event
      case (false, true): return .deleted(from)
      case (true, false): return .found(to)
      case (true, true): return nil
      }
    case .undecodable, .directoryAppeared, .directoryDeleted, .directoryRenamed, .directoryMovedAway, .rescan,
      .rootLost:
      return event
    }
  }

  mutating func overflow(_ tree: ModelTree) {
    begin(tree)
    events.append(.rescan(.root, .queueOverflow))
  }

  private mutating func learn(_ directory: ModelTree.ID, _ tree: ModelTree) {
    for (name, node) in tree.directories[directory] ?? [:] {
      guard case .directory(let id) = node else { continue }
      places[id] = (directory, name)
      learn(id, tree)
    }
  }

  private func path(_ directory: ModelTree.ID) -> RelativePath? {
    if directory == ModelTree.root { return .root }
    guard let place = places[directory], let parent = path(place.parent) else { return nil }
    return parent.appending(place.name)
  }

  private func isWithin(_ directory: ModelTree.ID, _ top: ModelTree.ID) -> Bool {
    directory == top || (places[directory].map { isWithin($0.parent, top) } ?? false)
  }

  private mutating func forget(_ directory: ModelTree.ID) {
    places[directory] = nil
    for (child, place) in places where place.parent == directory { forget(child) }
  }

  mutating func translate(_ record: ModelTree.Record, _ tree: ModelTree) {
    switch record {
    case .created(let id, let name): emit(id, name) { .created($0) }
    case .modified(let id, let name): emit(id, name) { .modified($0) }
    case .closed(let id, let name): emit(id, name) { .closed($0) }
    case .attributes(let id, let name): emit(id, name) { .attributes($0) }
    case .deleted(let id, let name): emit(id, name) { .deleted($0) }
    case .renamed(let old, let name, let new, let newName):
      switch (path(old), path(new)) {
      case (let from?, let to?):
        events.append(.renamed(from: from.appending(name), to: to.appending(newName)))
      case (let from?, nil): events.append(.deleted(from.appending(name)))
      case (nil, let to?): events.append(.found(to.appending(newName)))
      case (nil, nil): break
      }
      if arrivals.contains(where: { $0 == (old, name) }) { recheck(name, in: old, tree) }
      arrivals.append((new, newName))
    case .directoryCreated(let parent, let name):
      appear(name, in: parent, tree)
    case .directoryDeleted(let parent, let name):
      emit(parent, name) { .directoryDeleted($0) }
      if let id = child(name, of: parent) { forget(id) }
    case .directoryMovedAway(let id, let parent, let name):
      emit(parent, name) { .directoryMovedAway($0) }
      forget(id)
    case .directoryRenamed(let id, let parent, let name, let newParent, let newName):
      rename(id, from: parent, name, to: newParent, newName, tree)
      recheck(name, in: parent, tree)
      arrivals.append((newParent, newName))
    }
  }

  /// A name that a rename seems to have left is in use where that was half of an exchange.
  private mutating func recheck(_ name: String, in parent: ModelTree.ID, _ tree: ModelTree) {
    guard let above = path(parent), tree.directory(at: above) == parent else { return }
    switch tree.directories[parent]?[name] {
    case .file, .symbolicLink: events.append(.found(above.appending(name)))
    case .directory: appear(name, in: parent, tree)
    case nil: break
    }
  }

  private func child(_ name: String, of parent: ModelTree.ID) -> ModelTree.ID? {
    places.first { $0.value.parent == parent && $0.value.name == name }?.key
  }

  private mutating func emit(_ directory: ModelTree.ID, _ name: String, _ event: (RelativePath) -> WatchEvent)
  {
    if let path = path(directory) { events.append(event(path.appending(name))) }
  }

  private mutating func rename(
    _ id: ModelTree.ID, from parent: ModelTree.ID, _ name: String, to newParent: ModelTree.ID,
    _ newName: String, _ tree: ModelTree
  ) {
    guard let new = path(newParent) else {
      emit(parent, name) { .directoryMovedAway($0) }
      return forget(id)
    }
    guard let old = path(parent), places[id] != nil else {
      if let old = path(parent) {
        events.append(.directoryRenamed(from: old.appending(name), to: new.appending(newName)))
      }
      return appear(newName, in: newParent, tree, from: path(parent)?.appending(name))
    }
    let (from, to) = (old.appending(name), new.appending(newName))
    if isWithin(newParent, id) {
      // As the watcher: the new parent was met below this directory, so it moved there later, and this directory has
      // left that place since. The record of its next arrival tells of everything in it.
      forget(id)
      return events.append(.directoryRenamed(from: from, to: to))
    }
    displace(newName, in: newParent, by: id)
    events.append(.directoryRenamed(from: from, to: to))
    places[id] = (newParent, newName)
    // The listing: nothing if the directory has moved on by now, and always the present.
    if tree.directory(at: to) == id { tellRenamed(id, from: from, to: to, tree) }
  }

  /// What had the name has left it, and is watched no more: what became of its files is not told.
  private mutating func displace(_ name: String, in parent: ModelTree.ID, by id: ModelTree.ID) {
    guard let known = child(name, of: parent), known != id else { return }
    emit(parent, name) { .directoryMovedAway($0) }
    forget(known)
  }

  private mutating func tellRenamed(
    _ id: ModelTree.ID, from: RelativePath, to: RelativePath, _ tree: ModelTree
  ) {
    for (name, node) in (tree.directories[id] ?? [:]).sorted(by: { $0.key < $1.key }) {
      switch node {
      case .file, .symbolicLink:
        events.append(.renamed(from: from.appending(name), to: to.appending(name)))
      case .directory(let child):
        if let place = places[child], place.parent == id, place.name == name {
          tellRenamed(child, from: from.appending(name), to: to.appending(name), tree)
        } else {
          appear(name, in: id, tree, from: from.appending(name))
        }
      }
    }
  }

  /// Watches what has this name now, and tells of the files in it.
  private mutating func appear(
    _ name: String, in parent: ModelTree.ID, _ tree: ModelTree, from old: RelativePath? = nil
  ) {
    guard let above = path(parent), tree.directory(at: above) == parent,
      case .directory(let id) = tree.directories[parent]?[name]
    else { return }
    let path = above.appending(name)
    displace(name, in: parent, by: id)
    // Met under a name that no record has told of yet: from here on its records are translated to that.
    if let known = self.path(id), known != path, !path.isWithin(known) {
      events.append(.directoryRenamed(from: known, to: path))
    }
    places[id] = (parent, name)
    events.append(.directoryAppeared(path))
    for (name, node) in (tree.directories[id] ?? [:]).sorted(by: { $0.key < $1.key }) {
      switch node {
      case .file, .symbolicLink:
        if let old { events.append(.renamed(from: old.appending(name), to: path.appending(name))) }
        events.append(.found(path.appending(name)))
      case .directory: appear(name, in: id, tree, from: old?.appending(name))
      }
    }
  }
}
