/* wavelet.c - the filter tables. The numbers are facts about each wavelet: the solution of its defining equations
 * (orthonormal to its own even shifts, sum sqrt(2), the moments named in the header), computed to 22 digits.
 * tests/test_wavelet.c checks every one of these equations. */
#include "render/wavelet.h"

#include <stddef.h>
#include <string.h>

/* clang-format off */

/* dec_lo, dec_hi, rec_lo, rec_hi from the scaling filter: h reversed, h alternating, h, h reversed and alternating. */
#define N(x) (float)-(x)
#define P(x) (float)(x)
#define FILTERS_2(a, b) \
  {a, b}, {P(b), P(a)}, {N(a), P(b)}, {P(a), P(b)}, {P(b), N(a)}
#define FILTERS_4(a, b, c, d) \
  {a, b, c, d}, {P(d), P(c), P(b), P(a)}, {N(a), P(b), N(c), P(d)}, {P(a), P(b), P(c), P(d)}, {P(d), N(c), P(b), N(a)}
#define FILTERS_6(a, b, c, d, e, f) \
  {a, b, c, d, e, f}, \
  {P(f), P(e), P(d), P(c), P(b), P(a)}, \
  {N(a), P(b), N(c), P(d), N(e), P(f)}, \
  {P(a), P(b), P(c), P(d), P(e), P(f)}, \
  {P(f), N(e), P(d), N(c), P(b), N(a)}
#define FILTERS_8(a, b, c, d, e, f, g, h) \
  {a, b, c, d, e, f, g, h}, \
  {P(h), P(g), P(f), P(e), P(d), P(c), P(b), P(a)}, \
  {N(a), P(b), N(c), P(d), N(e), P(f), N(g), P(h)}, \
  {P(a), P(b), P(c), P(d), P(e), P(f), P(g), P(h)}, \
  {P(h), N(g), P(f), N(e), P(d), N(c), P(b), N(a)}
#define FILTERS_12(a, b, c, d, e, f, g, h, i, j, k, l) \
  {a, b, c, d, e, f, g, h, i, j, k, l}, \
  {P(l), P(k), P(j), P(i), P(h), P(g), P(f), P(e), P(d), P(c), P(b), P(a)}, \
  {N(a), P(b), N(c), P(d), N(e), P(f), N(g), P(h), N(i), P(j), N(k), P(l)}, \
  {P(a), P(b), P(c), P(d), P(e), P(f), P(g), P(h), P(i), P(j), P(k), P(l)}, \
  {P(l), N(k), P(j), N(i), P(h), N(g), P(f), N(e), P(d), N(c), P(b), N(a)}
#define FILTERS_16(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) \
  {a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p}, \
  {P(p), P(o), P(n), P(m), P(l), P(k), P(j), P(i), P(h), P(g), P(f), P(e), P(d), P(c), P(b), P(a)}, \
  {N(a), P(b), N(c), P(d), N(e), P(f), N(g), P(h), N(i), P(j), N(k), P(l), N(m), P(n), N(o), P(p)}, \
  {P(a), P(b), P(c), P(d), P(e), P(f), P(g), P(h), P(i), P(j), P(k), P(l), P(m), P(n), P(o), P(p)}, \
  {P(p), N(o), P(n), N(m), P(l), N(k), P(j), N(i), P(h), N(g), P(f), N(e), P(d), N(c), P(b), N(a)}

static const wavelet WAVELETS[] = {
    {"haar", 2, 1, FILTERS_2(
        0.7071067811865475244008, 0.7071067811865475244008)},
    {"db2", 4, 2, FILTERS_4(
        0.4829629131445341433749, 0.8365163037378079055753, 0.2241438680420133810260, -0.1294095225512603811744)},
    {"db4", 8, 4, FILTERS_8(
        0.2303778133088965008633, 0.7148465705529156470899, 0.6308807679298589078817, -0.0279837694168598542114,
        -0.1870348117190930840796, 0.0308413818355607636272, 0.0328830116668851997354, -0.0105974017850690321049)},
    {"sym4", 8, 4, FILTERS_8(
        0.0322231006040514678716, -0.0126039672620313037539, -0.0992195435766335325852, 0.2978577956053060514029,
        0.8037387518051320808788, 0.4976186676327749899796, -0.0296355276460024917644, -0.0757657147895022132277)},
    {"sym8", 16, 8, FILTERS_16(
        0.0018899503327676891843, -0.0003029205147241330813, -0.0149522583370621991185, 0.0038087520138944894631,
        0.0491371796737302867869, -0.0272190299171034863220, -0.0519458381078818007357, 0.3644418948361789367596,
        0.7771857516996280286243, 0.4813596512590533915896, -0.0612733590678110778430, -0.1432942383512726628441,
        0.0076074873249766081919, 0.0316950878115259914314, -0.0005421323318000106893, -0.0033824159510050025955)},
    {"coif1", 6, 2, FILTERS_6(
        -0.0727326195125264480244, 0.3378976624574817696748, 0.8525720202116004204497, 0.3848648468648577472518,
        -0.0727326195125264480244, -0.0156557281357919925257)},
    {"coif2", 12, 4, FILTERS_12(
        0.0163873364632036404275, -0.0414649367868717740097, -0.0673725547237255938046, 0.3861100668227628504190,
        0.8127236354494134953442, 0.4170051844232390480478, -0.0764885990782807542776, -0.0594344186464310873069,
        0.0236801719468477688059, 0.0056114348193688342456, -0.0018232088709110320946, -0.0007205494455203469951)},
};

/* clang-format on */

enum { WAVELET_COUNT = sizeof WAVELETS / sizeof WAVELETS[0] };

const wavelet *wavelet_find(const char *name) {
  for (int i = 0; name && i < WAVELET_COUNT; i++)
    if (strcmp(WAVELETS[i].name, name) == 0) return &WAVELETS[i];
  return NULL;
}

const wavelet *wavelet_at(int i) {
  return i >= 0 && i < WAVELET_COUNT ? &WAVELETS[i] : NULL;
}

const char *wavelet_names(void) {
  return "haar, db2, db4, sym4, sym8, coif1, coif2";
}
