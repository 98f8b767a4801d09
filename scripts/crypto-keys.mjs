// ssh2's native crypto with two getters more: the key and the next nonce of an AES-GCM cipher, for the engine (native/), which takes over
// the packets of a session after its login. Nothing of ssh2 is copied here: its own source is extended where it is compiled.
// Neighbours: run.mjs (compiles it for this machine), release/native-crypto.ts (for a release).
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of ssh2 1.17.0. Another source needs another look at all that is below. */
const known = '2b976ce86c43b0d2bda5ae104b0fb075b1ad8ecda65c6a0a7979be040475f88c';

/**
 * Copies the binding's sources from `source` to `work` and adds `key()` and `iv()` to its AES-GCM ciphers: copies of the key, and of the nonce
 * that the next packet gets (RFC 5647 §7.1). After `free` the key is empty.
 * @throws Error if the source is not the known one
 */
export function cryptoWithKeys(source, work) {
  cpSync(join(source, 'binding.gyp'), join(work, 'binding.gyp'));
  cpSync(join(source, 'src'), join(work, 'src'), { recursive: true });
  const file = join(work, 'src', 'binding.cc');
  const text = readFileSync(file, 'utf8');
  const found = createHash('sha256').update(text).digest('hex');
  if (found !== known)
    throw new Error(`ssh2's binding.cc has the SHA-256 ${found}; its getters are written for ${known}`);
  const withBoth = ['AESGCMCipher', 'AESGCMDecipher'].reduce(withGetters, text);
  writeFileSync(file, withBoth);
}

function withGetters(text, name) {
  const from = text.indexOf(`class ${name} : public ObjectWrap {`);
  const to = text.indexOf('\nclass ', from + 1);
  const end = to === -1 ? text.length : to;
  let part = text.slice(from, end);
  const put = (mark, added) => {
    if (part.split(mark).length !== 2) throw new Error(`${name} has not exactly one ${JSON.stringify(mark)}`);
    part = part.replace(mark, () => added(mark));
  };
  put('    SetPrototypeMethod(tpl, "free", Free);\n', (mark) =>
    mark.concat('    SetPrototypeMethod(tpl, "key", Key);\n    SetPrototypeMethod(tpl, "iv", Iv);\n'),
  );
  put(` private:\n  explicit ${name}() : ctx_(nullptr) {}\n`, (mark) => `${getters(name)}\n${mark}${members}`);
  put('  void clear() {\n', (mark) => `${mark}    OPENSSL_cleanse(key_, sizeof(key_));\n    key_len_ = 0;\n`);
  put('    // Increment IV\n', (mark) => `${count}${mark}`);
  put('    // Set key and IV\n', (mark) => `${keep}${mark}`);
  return text.slice(0, from) + part + text.slice(end);
}

const members = `
  unsigned char key_[32] = {};
  size_t key_len_ = 0;
  unsigned char iv_[12] = {};
`;

const keep = `    if (key_len > sizeof(key_) || iv_len != sizeof(iv_)) {
      r = kErrBadKeyLen;
      goto out;
    }
    memcpy(key_, key, key_len);
    key_len_ = key_len;
    memcpy(iv_, iv, iv_len);

`;

const count = `    for (size_t i = sizeof(iv_); i-- > 4;) {
      if (++iv_[i] != 0) break;
    }

`;

const getters = (name) => `  static NAN_METHOD(Key) {
    ${name}* obj = ObjectWrap::Unwrap<${name}>(info.Holder());
    const char* bytes = reinterpret_cast<const char*>(obj->key_);
    info.GetReturnValue().Set(Nan::CopyBuffer(bytes, obj->key_len_).ToLocalChecked());
  }

  static NAN_METHOD(Iv) {
    ${name}* obj = ObjectWrap::Unwrap<${name}>(info.Holder());
    const char* bytes = reinterpret_cast<const char*>(obj->iv_);
    info.GetReturnValue().Set(Nan::CopyBuffer(bytes, sizeof(obj->iv_)).ToLocalChecked());
  }
`;
