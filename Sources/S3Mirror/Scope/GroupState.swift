import MirrorModel
import S3Client

/// A group of hosts as its slots on S3 show it.
package struct GroupState: Codable, Sendable, Hashable {
  package struct Slot: Codable, Sendable, Hashable {
    package enum State: String, Codable, Sendable, Hashable {
      case running
      case ended
    }

    package var member: Int
    package var state: State
    package var host: String
    package var pid: Int32
    package var generation: Int
    /// 16 hexadecimal digits.
    package var attempt: String
    /// How long ago the instant lies until which everything that was closed on the host is on S3, in seconds; nil if
    /// the host has confirmed nothing yet.
    package var confirmed: Double?
  }

  package var group: String
  package var members: Int
  /// By member.
  package var slots: [Slot]

  /// The members without a slot.
  package var absentMembers: [Int] {
    let present = Set(slots.map(\.member))
    return (0..<members).filter { !present.contains($0) }
  }
}

/// The groups that mirror to a remote, by name. Reads only what the hosts have written there.
///
/// - Throws: `MirrorError`.
package func groupStates(under remote: String, options: Options) async throws -> [GroupState] {
  let scope = try MirrorScope(options: options)
  do {
    let states = try await scope.groupStates(under: remote)
    await scope.close()
    return states
  } catch {
    await scope.close()
    throw error
  }
}

extension MirrorScope {
  func groupStates(under remote: String) async throws -> [GroupState] {
    let registration = try resolver.registration(name: "group", spec: .download(remote))
    guard let place = registration.place else {
      throw MirrorError(
        .invalid, "\(remote) is a local path; the slots of a group are below s3://bucket/prefix")
    }
    try await registration.checkAccess()
    do {
      return try await groupStates(in: place.bucket.store, below: place.locationOfPrefix.prefix)
    } catch {
      throw describe(error, of: remote)
    }
  }

  private func groupStates(in store: any ObjectStore, below prefix: String) async throws -> [GroupState] {
    let mapping = KeyMapping.tree(prefix: prefix)
    var places: Set<GroupPlace> = []
    for try await page in store.listing(prefix: mapping.key(for: GroupPlace.groups) + "/") {
      places.formUnion(
        page.objects.compactMap { mapping.path(forKey: $0.key).flatMap { GroupPlace.parse($0)?.place } })
    }
    var states: [GroupState] = []
    for place in places.sorted(by: { ($0.group, $0.count) < ($1.group, $1.count) }) {
      let (slots, date) = try await SlotStore(store: store, mapping: mapping, place: place).read()
      states.append(
        GroupState(
          group: place.group, members: place.count,
          slots: slots.sorted { $0.key < $1.key }.map { .init($0.key, $0.value.slot, at: date) }))
    }
    return states
  }
}

extension GroupState.Slot {
  /// - Parameter now: the server's clock; nil if its answer had no date.
  fileprivate init(_ member: Int, _ slot: GroupSlot, at now: ServerTime?) {
    self.init(
      member: member, state: slot.state == .ended ? .ended : .running, host: slot.origin.host,
      pid: slot.origin.pid, generation: slot.claim.generation, attempt: slot.claim.attemptText,
      confirmed: slot.watermark.flatMap { watermark in now.map { max(0, Double($0 - watermark) / 1e9) } })
  }
}
