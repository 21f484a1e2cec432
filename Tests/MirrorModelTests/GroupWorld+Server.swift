import MirrorModel

// What an attempt asks, and what the server does.
extension GroupWorld {
  enum Activity { case busy, resting }

  @discardableResult
  mutating func step(_ index: Int, _ delivery: Delivery, _ reading: Reading) -> Activity {
    let now = now(of: index)
    switch processes[index].machine.next(at: now) {
    case .rest, .leave: return .resting
    case .read: read(index, reading)
    case .look:
      let member = processes[index].member
      let isVisible = visibleShards[member] >= shards[member]
      processes[index].machine.note(visible: isVisible)
      if !isVisible { return .resting }
    case .write(let slot, let over): send(.write(slot, over: over), from: index, now)
    case .publish: send(.marker(processes[index].marker), from: index, now)
    case .pass:
      if let kind = due(of: index) {
        send(kind, from: index, now)
      } else {
        processes[index].machine.note(pass: .published, at: now)
      }
    }
    if delivery == .now { serve(index, isAnswered: true) }
    return .busy
  }

  /// Every attempt does all that it can.
  mutating func work() {
    for index in processes.indices where canRun(index) && processes[index].request == nil {
      for _ in 0..<12 {
        let reading: Reading = processes[index].looksBack ? .past : .present
        guard step(index, .later, reading) == .busy else { break }
        guard let request = processes[index].request else { continue }
        if processes[index].late == request.late {
          processes[index].late = nil
          break
        }
        serve(index, isAnswered: true)
      }
      processes[index].looksBack = false
    }
  }

  private mutating func send(_ kind: Request.Kind, from index: Int, _ now: GroupMember.Now) {
    processes[index].request = Request(kind: kind, signed: now.server)
  }

  /// What a pass has to change: data first, deletes after them.
  private func due(of index: Int) -> Request.Kind? {
    let process = processes[index]
    if process.shard > 0, shards[process.member] != process.shard { return .put(process.shard) }
    if process.wishesDelete, let shared, process.machine.mayDelete(objectOf: shared.member) {
      return .delete(over: shared.version)
    }
    return nil
  }

  private mutating func read(_ index: Int, _ reading: Reading) {
    var read: [Int: (slot: GroupSlot, version: SlotVersion)] = [:]
    for member in 0..<3 {
      let isPast = reading == .past && versions[member] > 0
      if let slot = isPast ? pastSlots[member] : slots[member] {
        read[member] = (slot, String(isPast ? versions[member] - 1 : versions[member]))
      }
    }
    processes[index].machine.note(slots: read, at: now(of: index))
  }

  // MARK: The server

  mutating func serve(_ index: Int, isAnswered: Bool) {
    guard let request = processes[index].request else { return }
    let member = processes[index].member
    if case .write(let slot, let over) = request.kind {
      let isMet = over == (versions[member] == 0 ? nil : String(versions[member]))
      if isMet {
        pastSlots[member] = slots[member]
        slots[member] = slot
        versions[member] += 1
      }
      return answer(index, with: isAnswered ? isMet : nil)
    }
    // A signature is good for a while (RequestTimeTooSkewed, AccessDenied of an expired query).
    let isTimely = abs(time - request.signed) <= 1
    if isTimely { change(request.kind, by: index) }
    answer(index, with: isAnswered ? isTimely : nil)
  }

  mutating func serveStray(_ index: Int) {
    guard let request = processes[index].stray else { return }
    processes[index].stray = nil
    if case .write = request.kind { return }
    if abs(time - request.signed) <= 1 { change(request.kind, by: index) }
  }

  private mutating func change(_ kind: Request.Kind, by index: Int) {
    let member = processes[index].member
    let generation = processes[index].machine.generation
    for other in processes where other.member == member && other.machine.generation > generation {
      if other.machine.isActive { fault = fault ?? "a zombie of member \(member) changes \(kind)" }
    }
    switch kind {
    case .put(let version):
      shards[member] = version
      if setting.visibility == .immediate { visibleShards = shards }
    case .marker(let version): marker = max(marker, version)
    case .delete(let version):
      guard let shared, shared.version == version else { return }
      if shared.member != member { fault = fault ?? "member \(member) deletes an object of \(shared.member)" }
      self.shared = nil
    case .write: break
    }
  }

  /// - Parameter isDone: nil where the answer is lost.
  mutating func answer(_ index: Int, with isDone: Bool?) {
    guard let request = processes[index].request else { return }
    processes[index].request = nil
    let now = now(of: index)
    let member = processes[index].member
    let outcome: GroupMember.PassAnswer =
      switch isDone {
      case true?: .published
      case false?: .unfinished
      case nil: .inDoubt
      }
    switch request.kind {
    case .write:
      let answer: GroupMember.WriteAnswer =
        switch isDone {
        case true?: .accepted(String(versions[member]))
        case false?: .refused
        case nil: .missing
        }
      processes[index].machine.note(write: answer, at: now)
    case .marker: processes[index].machine.note(publication: outcome, at: now)
    case .put, .delete:
      if outcome == .published, due(of: index) != nil {
        // The rest of the pass is another one.
        processes[index].machine.note(pass: .unfinished, at: now)
      } else {
        processes[index].machine.note(pass: outcome, at: now)
      }
    }
  }
}
