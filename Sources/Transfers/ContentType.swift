import MirrorModel

/// Media types by extension, for files that training jobs write and users open in a browser. Other files have
/// no type; S3 then reports `binary/octet-stream`.
package enum ContentType {
  /// IANA media types by lower-case extension.
  private static let byExtension: [String: String] = [
    "json": "application/json", "jsonl": "application/x-ndjson", "ndjson": "application/x-ndjson",
    "yaml": "application/yaml", "yml": "application/yaml", "xml": "application/xml",
    "pdf": "application/pdf", "zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip",
    "zst": "application/zstd", "tar": "application/x-tar", "npy": "application/octet-stream",
    "npz": "application/zip", "pt": "application/octet-stream", "pth": "application/octet-stream",
    "bin": "application/octet-stream", "ckpt": "application/octet-stream",
    "safetensors": "application/octet-stream", "onnx": "application/octet-stream",
    "parquet": "application/vnd.apache.parquet", "arrow": "application/vnd.apache.arrow.file",
    "txt": "text/plain", "log": "text/plain", "md": "text/markdown", "csv": "text/csv",
    "tsv": "text/tab-separated-values", "html": "text/html", "htm": "text/html", "css": "text/css",
    "js": "text/javascript", "py": "text/x-python", "png": "image/png", "jpg": "image/jpeg",
    "jpeg": "image/jpeg", "gif": "image/gif", "svg": "image/svg+xml", "webp": "image/webp",
    "mp4": "video/mp4", "webm": "video/webm", "mp3": "audio/mpeg", "wav": "audio/wav",
  ]

  package static func guess(for path: RelativePath) -> String? {
    let name = path.name
    guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")), dot != name.startIndex else { return nil }
    return byExtension[name[name.utf8.index(after: dot)...].lowercased()]
  }
}
