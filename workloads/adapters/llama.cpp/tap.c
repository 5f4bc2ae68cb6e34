// Hands over what an unmodified llama.cpp server computes. Loaded before libllama (LD_PRELOAD), it sets the callback that
// llama.cpp has for computed tensors and keeps one safetensors file in the activations directory: `hidden_states`
// [tokens, layers, hidden] of every token of the request so far, whole whenever the server has its turn, and so before the
// answer ends. It never claims what it has not seen: where the rows are not those of all tokens of one sequence, the file
// is removed, and the embassy withholds the answer.
//
//   cc -shared -fPIC -O2 -o tap.so tap.c      # with the headers of the very libllama that the server loads
//
// ACTIVATIONS_DIR (/activations), ACTIVATIONS_LAYERS (such as 8,16,24; the middle one).
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <llama.h>

enum { MAX_LAYERS = 16, HEADER_BYTES = 256 };

#define NAME "states.safetensors"
#define PART NAME ".part"
// The next definition of the function that this one stands before.
#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

static struct llama_context *watched;
static int layers[MAX_LAYERS], layer_count;

// The sequence that is being computed: its file, and whether all of it was seen.
static int directory = -1, file = -1;
static bool good, named;
static int64_t tokens, hidden;
// Rows [tokens, layers, hidden] of the part of a batch that is computed at once; `arrived` layers of them are there.
static float *block;
static int64_t block_tokens;
static int arrived;

static bool complain(const char *what) {
  fprintf(stderr, "tap: %s\n", what);
  return false;
}

static void drop(void) {
  if (file >= 0) close(file);
  file = -1;
  good = named = false;
  unlinkat(directory, PART, 0);
  unlinkat(directory, NAME, 0);
}

static void begin(void) {
  drop();
  tokens = hidden = 0;
  file = openat(directory, PART, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  good = file >= 0 || complain("the activations directory cannot be written");
}

static bool put(const void *bytes, size_t length, off_t at) {
  return pwrite(file, bytes, length, at) == (ssize_t)length || complain("a write failed");
}

static bool append(void) {
  size_t row = sizeof(float) * layer_count * hidden;
  if (!put(block, row * block_tokens, HEADER_BYTES + row * tokens)) return false;
  tokens += block_tokens;
  return true;
}

// Until the header says so, the rows behind it are none: nobody takes the file for whole.
static bool publish(void) {
  char header[HEADER_BYTES];
  uint64_t length = HEADER_BYTES - sizeof length;
  memset(header, ' ', sizeof header);
  memcpy(header, &length, sizeof length);
  int written = snprintf(header + sizeof length, length,
      "{\"hidden_states\":{\"dtype\":\"F32\",\"shape\":[%lld,%d,%lld],\"data_offsets\":[0,%lld]}}",
      (long long)tokens, layer_count, (long long)hidden,
      (long long)(sizeof(float) * layer_count * hidden * tokens));
  header[sizeof length + written] = ' ';
  if (!put(header, sizeof header, 0)) return false;
  if (!named) named = renameat(directory, PART, directory, NAME) == 0;
  return named;
}

// One layer's rows. They come in the order of the layers, for one part of a batch after the other.
static bool take(const struct ggml_tensor *tensor, int index) {
  int64_t width = tensor->ne[0], count = tensor->ne[1];
  if (tensor->type != GGML_TYPE_F32 || !ggml_is_contiguous(tensor) || ggml_nrows(tensor) != count)
    return complain("a layer's output has another form than rows of 32-bit floats");
  if (index == 0) {
    float *larger = realloc(block, sizeof(float) * layer_count * width * count);
    if (!larger) return complain("out of memory");
    block = larger;
    block_tokens = count;
    arrived = 0;
    if (hidden == 0) hidden = width;
  }
  if (index != arrived || count != block_tokens || width != hidden)
    return complain("the layers differ in their rows");
  for (int64_t row = 0; row < count; row++)
    ggml_backend_tensor_get(tensor, block + (row * layer_count + index) * hidden,
        sizeof(float) * hidden * row, sizeof(float) * hidden);
  return ++arrived < layer_count || append();
}

// llama.cpp asks of each tensor whether it is wanted, and shows those that are.
static bool on_tensor(struct ggml_tensor *tensor, bool ask, void *data) {
  (void)data;
  int layer, end = 0;
  if (sscanf(tensor->name, "l_out-%d%n", &layer, &end) != 1 || tensor->name[end] != '\0') return !ask;
  for (int index = 0; index < layer_count; index++)
    if (layers[index] == layer) {
      if (!ask && good) good = take(tensor, index);
      return true;
    }
  return !ask;
}

// Of the last layer only the rows are computed whose words are asked for: it cannot be chosen.
static bool choose_layers(int count) {
  const char *text = getenv("ACTIVATIONS_LAYERS");
  char middle[16];
  snprintf(middle, sizeof middle, "%d", count / 2);
  if (!text || !*text) text = middle;
  for (layer_count = 0;; text++) {
    char *end;
    long layer = strtol(text, &end, 10);
    bool rises = layer >= 0 && (layer_count == 0 || layer > layers[layer_count - 1]);
    if (end == text || !rises || layer > count - 2 || layer_count == MAX_LAYERS) return false;
    layers[layer_count++] = (int)layer;
    text = end;
    if (*text == '\0') return true;
    if (*text != ',') return false;
  }
}

struct llama_context *llama_init_from_model(struct llama_model *model, struct llama_context_params params) {
  const char *path = getenv("ACTIVATIONS_DIR");
  if (directory < 0) directory = open(path && *path ? path : "/activations", O_PATH | O_DIRECTORY | O_CLOEXEC);
  bool may = true;
  if (directory < 0) may = complain("there is no activations directory");
  if (watched) may = complain("a second context, as of a draft model: its work would not be seen");
  if (params.n_seq_max != 1) may = complain("one sequence at a time: start the server with --parallel 1");
  if (params.cb_eval) may = complain("the callback for computed tensors is taken");
  if (!choose_layers(llama_model_n_layer(model)))
    may = complain("ACTIVATIONS_LAYERS must be rising numbers from 0, without the model's last layer");
  if (!may) return NULL;
  params.cb_eval = on_tensor;
  return watched = REAL(llama_init_from_model)(model, params);
}

void llama_free(struct llama_context *context) {
  if (context == watched) watched = NULL;
  REAL(llama_free)(context);
}

static int64_t computed(struct llama_context *context) {
  return (int64_t)llama_memory_seq_pos_max(llama_get_memory(context), 0) + 1;
}

int32_t llama_process(struct llama_context *context, enum llama_process_type type, struct llama_batch_ext *batch) {
  if (computed(context) == 0) begin();
  int32_t result = REAL(llama_process)(context, type, batch);
  good = good && computed(context) == tokens && publish();
  if (!good) drop();
  return result;
}

// A request may ask for the state that an earlier one has left where both begin alike, whatever the server's flags say:
// its tokens would not be computed again, and their number would tell what the other had asked. What the server is told
// here is what it hears of models that have forgotten a sequence's beginning: it then computes all of it anew.
llama_pos llama_memory_seq_pos_min(llama_memory_t memory, llama_seq_id sequence) {
  return llama_memory_seq_pos_max(memory, sequence) < 0 ? -1 : INT32_MAX;
}
