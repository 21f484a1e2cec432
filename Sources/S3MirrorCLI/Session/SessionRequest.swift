import FoundationEssentials
import S3Mirror

/// A request of the other program: one JSON object on one line, with an ID for its answer.
struct SessionRequest {
  enum Kind: String, CaseIterable {
    case enter, paths, flush, status, report, add, ls, restore, end, abandon
  }

  enum Content {
    case enter(Entry)
    case paths
    /// Nil flushes all uploads.
    case flush(String?)
    case status
    case report
    case add(SessionSpec)
    case ls(remote: String, MirrorSession.Depth)
    /// - Parameter unit: nil restores the newest complete checkpoint.
    case restore(MirrorSpec, unit: String?, RestoreExtent)
    case end(MirrorScope.BodyEnd)
    case abandon
  }

  struct Entry {
    var specs: [SessionSpec]
    var options: Options
    /// The names of the requested events.
    var events: Set<String>
    /// The time between two progress events; nil sends none.
    var progress: Duration?
  }

  /// A line that is no valid request.
  struct Fault: Error {
    /// Nil if the line has no ID.
    var id: Int64?
    var request: String?
    var message: String
  }

  var id: Int64
  var kind: Kind
  var content: Content

  private struct Head: Decodable {
    var id: Int64?
    var request: String?
  }

  /// - Throws: `Fault`.
  init(_ line: [UInt8]) throws(Fault) {
    guard String(validating: line, as: UTF8.self) != nil else {
      throw Fault(message: "the line is not UTF-8")
    }
    let data = Data(line)
    let head: Head
    do {
      try JSONFault.check(line)
      head = try JSONDecoder().decode(Head.self, from: data)
    } catch let fault as JSONFault {
      throw Fault(message: "the line is no JSON: \(fault)")
    } catch {
      throw Fault(message: (error as? DecodingError)?.sentence ?? "\(error)")
    }
    guard let id = head.id else { throw Fault(request: head.request, message: "the request has no id") }
    guard let kind = head.request.flatMap(Kind.init(rawValue:)) else {
      let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
      let given = head.request.map { "\"\($0)\" is no request" } ?? "the line names no request"
      throw Fault(id: id, request: head.request, message: "\(given); there is \(known)")
    }
    self.id = id
    self.kind = kind
    do {
      content = try JSONDecoder().decode(Parameters.self, from: data).content(of: kind)
    } catch {
      let message = (error as? DecodingError)?.sentence ?? "\(error)"
      throw Fault(id: id, request: kind.rawValue, message: message)
    }
  }
}

/// The members of requests besides the ID. Each request accepts only its own members.
private struct Parameters: Decodable {
  private let decoder: any Decoder

  init(from decoder: any Decoder) throws {
    self.decoder = decoder
  }

  func content(of kind: SessionRequest.Kind) throws -> SessionRequest.Content {
    switch kind {
    case .enter: .enter(try entry())
    case .paths: try bare(.paths)
    case .flush:
      .flush(try values(of: FlushKeys.self).decodeIfPresent(String.self, forKey: .upload))
    case .status: try bare(.status)
    case .report: try bare(.report)
    case .add: .add(try values(of: AddKeys.self).decode(SessionSpec.self, forKey: .spec))
    case .ls:
      .ls(
        remote: try values(of: ListKeys.self).decode(String.self, forKey: .remote),
        try values(of: ListKeys.self).decodeIfPresent(Bool.self, forKey: .recursive) == true
          ? .recursive : .level)
    case .restore: try restore()
    case .end: .end(try bodyEnd())
    case .abandon: try bare(.abandon)
    }
  }

  private enum BareKeys: String, CodingKey, CaseIterable { case id, request }
  private enum FlushKeys: String, CodingKey, CaseIterable { case id, request, upload }
  private enum AddKeys: String, CodingKey, CaseIterable { case id, request, spec }
  private enum ListKeys: String, CodingKey, CaseIterable { case id, request, remote, recursive }
  private enum RestoreKeys: String, CodingKey, CaseIterable {
    case id, request, remote, local, unit, exclude, include, memberOnly
  }
  private enum EndKeys: String, CodingKey, CaseIterable { case id, request, body }
  private enum EntryKeys: String, CodingKey, CaseIterable {
    case id, request, specs, options, events, progress
  }

  private func values<Keys: CodingKey & CaseIterable>(of keys: Keys.Type) throws
    -> KeyedDecodingContainer<Keys>
  {
    try decoder.refuseKeys(besides: keys)
    return try decoder.container(keyedBy: keys)
  }

  private func bare(_ content: SessionRequest.Content) throws -> SessionRequest.Content {
    _ = try values(of: BareKeys.self)
    return content
  }

  private func restore() throws -> SessionRequest.Content {
    let values = try values(of: RestoreKeys.self)
    let spec = MirrorSpec.download(
      try values.decode(String.self, forKey: .remote),
      local: try values.decodeIfPresent(String.self, forKey: .local),
      exclude: try values.decodeIfPresent([String].self, forKey: .exclude) ?? [],
      include: try values.decodeIfPresent([String].self, forKey: .include) ?? [])
    let isPart = try values.decodeIfPresent(Bool.self, forKey: .memberOnly) == true
    return .restore(
      spec, unit: try values.decodeIfPresent(String.self, forKey: .unit), isPart ? .ownPart : .everything)
  }

  private func bodyEnd() throws -> MirrorScope.BodyEnd {
    let values = try values(of: EndKeys.self)
    switch try values.decode(String.self, forKey: .body) {
    case "returned": return .returned
    case "threw": return .threw
    default:
      throw DecodingError.dataCorruptedError(
        forKey: .body, in: values, debugDescription: "it is \"returned\" or \"threw\"")
    }
  }

  private func entry() throws -> SessionRequest.Entry {
    let values = try values(of: EntryKeys.self)
    let progress = try values.decodeIfPresent(SessionOptions.Time.self, forKey: .progress)
    return SessionRequest.Entry(
      specs: try values.decodeIfPresent([SessionSpec].self, forKey: .specs) ?? [],
      options: try values.decodeIfPresent(SessionOptions.self, forKey: .options)?.options
        ?? SessionOptions.standard,
      events: Set(try values.decodeIfPresent([String].self, forKey: .events) ?? []),
      progress: progress?.duration)
  }
}
