import HTTPTransport
import MirrorModel
import S3Client

/// The group of hosts that the scope's uploads belong to.
extension MirrorScope {
  /// The stores of an upload, and the driver of its group.
  struct GroupAccess {
    /// Changes pass only while the member's claim allows them.
    var store: any ObjectStore
    var requests: RequestTally
    /// Nil without a group.
    var driver: GroupDriver?
  }

  /// An upload of one file has no prefix that it could share with other hosts, so it belongs to no group.
  func groupDriver(
    for registration: Registration, of mapping: KeyMapping, at place: ResolvedSpec, _ journal: Journal
  ) throws -> GroupAccess {
    guard let group = options.group, group.isShared, case .tree = mapping else {
      let (store, requests) = place.bucket.counted()
      return GroupAccess(store: store, requests: requests)
    }
    var headers = HTTPHeaders()
    let properties = options.uploadSettings(for: registration.spec.properties).extraHeaders
    for (name, value) in properties.sorted(by: { $0.key < $1.key }) { headers[name] = value }
    let requests = RequestTally()
    let driver = GroupDriver(
      group,
      slots: SlotStore(
        store: MeteredStore(place.bucket.counted(by: requests), meter: meter), mapping: mapping,
        place: group.place,
        fencing: group.fencing == .none ? .none : .conditionalWrites, headers: headers)
    ) { [name = registration.name] text in journal.notice("\(name): \(text)") }
    let store = place.bucket.counted(by: requests) { FencedStore($0, behind: driver) }
    return GroupAccess(store: store, requests: requests, driver: driver)
  }

  /// Sets what happens when another attempt takes over the member of one of the uploads. If that has happened, it
  /// happens at once.
  package func whenFenced(_ reaction: @escaping @Sendable () -> Void) {
    let isFenced = state.withLock { state in
      state.fenceReaction = reaction
      return state.isFenced
    }
    if isFenced { reaction() }
  }

  func noteFenced() {
    let reaction = state.withLock { state in
      state.isFenced = true
      return state.fenceReaction
    }
    reaction?()
  }
}
